import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { fstatSync, readdirSync } from 'node:fs';

/**
 * Takes from this process the right to open one more file descriptor, as a leak or a small `ulimit -n` does, until what it returns is
 * called. By the limit itself, and not by opening files until it is reached: whatever is closed meanwhile would make room.
 */
export function useUpDescriptors(): Promise<() => Promise<void>> {
  return lowerLimit('nofile', () => 0);
}

/** Leaves this process so many free descriptors: enough to begin something with, and too few to end it. */
export function leaveDescriptors(count: number): Promise<() => Promise<void>> {
  return lowerLimit('nofile', () => {
    const open = new Set(readdirSync('/proc/self/fd').map(Number).filter(isOpen));
    let limit = 0;
    for (let free = 0; free < count; limit++) if (!open.has(limit)) free++;
    return limit;
  });
}

/** The list of descriptors has the one that it was read through, too. */
function isOpen(fd: number): boolean {
  try {
    fstatSync(fd);
    return true;
  } catch {
    return false;
  }
}

/** Leaves this process without the right to one more thread, as a bound on tasks does. Root knows no such bound, so it must be nobody. */
export function useUpThreads(): Promise<() => Promise<void>> {
  return lowerLimit('nproc', () => 0);
}

/** What gives the limit back was started before: a start takes what is short then. */
async function lowerLimit(resource: 'nofile' | 'nproc', value: () => number): Promise<() => Promise<void>> {
  const own = ['--pid', String(process.pid)];
  const show = [...own, `--${resource}`, '--raw', '--noheadings', '--output=SOFT'];
  const before = spawnSync('prlimit', show, { encoding: 'utf8' }).stdout.trim();
  if (!/^(\d+|unlimited)$/.test(before)) throw new Error(`prlimit says ${before}`);
  const script = 'read line; exec prlimit "$@"';
  const mender: ChildProcess = spawn('sh', ['-c', script, 'mend', ...own, `--${resource}=${before}:`], {
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  const mended = once(mender, 'exit');
  spawnSync('prlimit', [...own, `--${resource}=${value()}:`]);
  return async () => {
    mender.stdin?.end('\n');
    await mended;
  };
}
