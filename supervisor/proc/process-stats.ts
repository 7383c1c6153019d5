import { readProcFile } from '../proc-file.js';

export interface ProcessStats {
  readonly cpuMs: number;
  readonly rssBytes: number;
}

const CLOCK_TICK_MS = 10;
const PAGE_BYTES = 4096;
const CHILD_DEPTH_MAX = 4;

/** CPU time and resident memory of one process from `/proc`, or null when it is gone, or when nothing can be read now. */
export function readProcessStats(pid: number): ProcessStats | null {
  const stat = readNow(`/proc/${pid}/stat`);
  const statm = readNow(`/proc/${pid}/statm`);
  if (stat === null || statm === null) return null;
  // The command name may hold spaces and parentheses: fields count from behind its last closing one.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const ticks = Number(fields[11]) + Number(fields[12]);
  return { cpuMs: ticks * CLOCK_TICK_MS, rssBytes: Number(statm.split(' ')[1]) * PAGE_BYTES };
}

/** Proportional set size in bytes: shared pages counted once over all who share them. Costs more than the others. */
export function readPssBytes(pid: number): number | null {
  const rollup = readNow(`/proc/${pid}/smaps_rollup`);
  const match = rollup === null ? null : /^Pss:\s+(\d+) kB/m.exec(rollup);
  return match === null ? null : Number(match[1]) * 1024;
}

/**
 * The innermost only-child of a process: bubblewrap starts an init, which starts the worker. Its pid is what `ps` shows,
 * what is measured, and what a signal must reach. Throws as `readProcFile`: an outer process instead of it has another's memory.
 */
export function innermostChild(pid: number): number {
  let current = pid;
  for (let depth = 0; depth < CHILD_DEPTH_MAX; depth++) {
    const children = readProcFile(`/proc/${current}/task/${current}/children`)?.trim();
    if (!children) return current;
    current = Number(children.split(' ')[0]);
  }
  return current;
}

function readNow(path: string): string | null {
  try {
    return readProcFile(path);
  } catch (error) {
    if (error instanceof Error) return null;
    throw error;
  }
}
