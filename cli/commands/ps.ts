import type { ProcessRow } from '../../abi/control.js';
import { EXIT } from '../../abi/errno.js';
import type { ControlClient } from '../client.js';
import { type CommandRun, withClient } from '../context.js';
import { readRows } from '../results.js';
import { formatAge, formatBytes, formatCpu } from '../view/human.js';
import { type Column, printTable } from '../view/table.js';
import type { StyleName, Terminal } from '../view/terminal.js';

const STATE_STYLE: Partial<Record<ProcessRow['state'], StyleName>> = {
  ready: 'green',
  running: 'green',
  backoff: 'yellow',
  hook: 'yellow',
  stopping: 'yellow',
  failed: 'red',
  stopped: 'dim',
};

const COLUMNS: readonly Column<ProcessRow>[] = [
  { title: 'PID', align: 'right', cell: (row) => (row.pid === null ? '-' : String(row.pid)) },
  { title: 'CAPSULE', cell: (row) => row.capsule, shrinkTo: 12 },
  { title: 'TIER', cell: (row) => row.tier },
  { title: 'STATE', cell: (row) => row.state, style: (row) => STATE_STYLE[row.state] ?? 'plain' },
  { title: 'WAITS-ON', cell: (row) => row.waitsOn || '-', shrinkTo: 8 },
  { title: 'AGE', align: 'right', cell: (row) => formatAge(row.ageMs) },
  { title: 'CPU', align: 'right', cell: (row) => formatCpu(row.cpuMs) },
  {
    title: 'MEM/LIMIT',
    align: 'right',
    cell: (row) => `${formatBytes(row.memoryBytes)}/${formatBytes(row.memoryMaxBytes)}`,
  },
  { title: 'CALLS', align: 'right', cell: (row) => String(row.calls) },
  { title: 'RESTARTS', align: 'right', cell: (row) => String(row.restarts) },
];

/** The process table of the supervisor, as a table on `terminal`. */
export async function printProcesses(terminal: Terminal, client: ControlClient): Promise<void> {
  const rows = readRows<ProcessRow>(await client.request('ps', {}), 'ps');
  printTable(terminal, COLUMNS, rows, 'no capsule is loaded');
}

/** `astrid ps` */
export const runPs: CommandRun = (context) =>
  withClient(context, async (client) => {
    if (context.json) context.io.out.json(readRows<ProcessRow>(await client.request('ps', {}), 'ps'));
    else await printProcesses(context.io.out, client);
    return EXIT.ok;
  });
