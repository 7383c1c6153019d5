import type { SessionRow } from '../../abi/control.js';
import { EXIT } from '../../abi/errno.js';
import { type CommandRun, withClient } from '../context.js';
import { readRows } from '../results.js';
import { formatAge } from '../view/human.js';
import { type Column, printTable } from '../view/table.js';

/** `astrid sessions`: newest first. */
export const runSessions: CommandRun = (context) =>
  withClient(context, async (client) => {
    const rows = readRows<SessionRow>(await client.request('session.list', {}), 'session.list');
    const newestFirst = [...rows].sort((a, b) => b.createdAt - a.createdAt);
    if (context.json) {
      context.io.out.json(newestFirst);
      return EXIT.ok;
    }
    const now = context.io.now();
    const columns: readonly Column<SessionRow>[] = [
      { title: 'SESSION', cell: (row) => row.id },
      { title: 'AGE', align: 'right', cell: (row) => formatAge(now - row.createdAt) },
      { title: 'MODE', cell: (row) => row.mode },
      { title: 'PRINCIPAL', cell: (row) => row.principal, shrinkTo: 9 },
      { title: 'RESUMED', cell: (row) => (row.resumed ? 'yes' : 'no') },
      { title: 'WORKSPACE', cell: (row) => row.workspace, shrinkTo: 16 },
    ];
    printTable(context.io.out, columns, newestFirst, 'no session; open one with: astrid chat');
    return EXIT.ok;
  });
