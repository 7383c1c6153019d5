import { execFile } from 'node:child_process';
import { access, constants, readFile, statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import { asFault, EXIT } from '../../abi/errno.js';
import { type CommandContext, type CommandRun, withClient } from '../context.js';
import { type CheckRow, type CheckState, examineMachine, type Machine } from '../doctor-checks.js';
import { openHome } from '../home.js';
import { type Column, printTable } from '../view/table.js';
import type { StyleName } from '../view/terminal.js';

const PROGRAM_WAIT_MS = 5_000;

const STATE_STYLE: Record<CheckState, StyleName> = { ok: 'green', missing: 'red', wrong: 'red', limited: 'yellow' };

const COLUMNS: readonly Column<CheckRow>[] = [
  { title: 'CHECK', cell: (row) => row.check },
  { title: 'STATE', cell: (row) => row.state, style: (row) => STATE_STYLE[row.state] },
  { title: 'FOUND', cell: (row) => row.found },
  { title: 'WHAT TO DO', cell: (row) => row.advice || '-' },
];

/** Exit code and first line; null when the program is not there. */
function runProgram(file: string, args: readonly string[]): Promise<{ code: number; line: string } | null> {
  return new Promise((resolve) => {
    execFile(file, [...args], { timeout: PROGRAM_WAIT_MS }, (error, stdout, stderr) => {
      const line = (stdout || stderr).split('\n')[0] ?? '';
      if (error === null) resolve({ code: 0, line });
      else if (error.code === 'ENOENT') resolve(null);
      else resolve({ code: typeof error.code === 'number' ? error.code : 1, line });
    });
  });
}

async function findFreeBytes(path: string): Promise<number | null> {
  try {
    const { bavail, bsize } = await statfs(path);
    return bavail * bsize;
  } catch {
    // The home is not made yet: its file system is that of the nearest directory above it.
    return dirname(path) === path ? null : findFreeBytes(dirname(path));
  }
}

async function findHomeFault(path: string): Promise<string | null> {
  try {
    const home = await openHome(path);
    await home.close();
    return null;
  } catch (error) {
    const fault = asFault(error);
    return fault.code === 'not_running' ? null : fault.message;
  }
}

async function describeSupervisor(context: CommandContext): Promise<string> {
  try {
    return await withClient(
      context,
      async (client) => `running, pid ${client.supervisorPid}, version ${client.version}`,
    );
  } catch (error) {
    const fault = asFault(error);
    if (fault.code === 'not_running') return 'not running';
    throw fault;
  }
}

function thisMachine(context: CommandContext): Machine {
  return {
    platform: process.platform,
    nodeVersion: process.version,
    homePath: context.homePath,
    readText: (path) => readFile(path, 'utf8').catch(() => null),
    run: runProgram,
    canWrite: (path) =>
      access(path, constants.W_OK).then(
        () => true,
        () => false,
      ),
    freeBytes: findFreeBytes,
    homeFault: () => findHomeFault(context.homePath),
    supervisor: () => describeSupervisor(context),
  };
}

/** `astrid doctor`: what this machine gives; fails when something that is needed is missing or wrong. */
export const runDoctor: CommandRun = async (context) => {
  const rows = await examineMachine(thisMachine(context));
  if (context.json) context.io.out.json(rows);
  else printTable(context.io.out, COLUMNS, rows, '');
  return rows.some((row) => row.state === 'missing' || row.state === 'wrong') ? EXIT.failed : EXIT.ok;
};
