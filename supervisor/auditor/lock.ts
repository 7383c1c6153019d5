import { readdirSync, readlinkSync, symlinkSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { Fault } from '../../abi/errno.js';
import { readProcFile } from '../proc-file.js';
import { errnoOf } from './disk-file.js';

/**
 * One auditor per log directory. Node has no flock, and an abstract socket would be visible to, and could be taken
 * first by, every other user of the machine. So the lock is a file in the directory itself, which only its owner can enter.
 *
 * It is a symlink `lock.N` whose text says who holds it: making it fails if it is there, and its text is there from the first
 * moment, so no half-written lock is ever read. A holder that died is not removed, which two starters could do to each other's
 * new locks, but outnumbered: the next holder makes `lock.N+1`. Only one can. Whoever finds a higher number than its own
 * after making it came late and steps back. The highest number is never removed, so no number is used twice.
 *
 * A holder is alive if its pid runs and began at the time in the lock: a pid that was given to another process, or that is
 * from before a reboot, does not count. Machines that share the directory over a network, and pid namespaces that share it,
 * are not told apart.
 */
const NAME = /^lock\.([0-9]{1,15})$/;
const TRIES_MAX = 100;

interface Holder {
  readonly pid: number;
  /** Boot id and start time in clock ticks; empty where there is no /proc. */
  readonly began: string;
}

function generations(directory: string): number[] {
  const numbers = readdirSync(directory).flatMap((name) => {
    const match = NAME.exec(name);
    return match === null ? [] : [Number(match[1])];
  });
  return numbers.sort((a, b) => a - b);
}

/**
 * When the process began, or null if it does not run (a zombie no longer holds anything). Throws where it cannot be told: a holder
 * taken for dead would have its log taken over.
 */
function readBegan(pid: number): string | null {
  const stat = readProcFile(`/proc/${pid}/stat`);
  const boot = readProcFile('/proc/sys/kernel/random/boot_id');
  if (stat === null || boot === null) return null;
  // The process's name is in brackets and may hold anything, also brackets and spaces.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  if (fields[0] === 'Z' || fields[0] === 'X') return null;
  return `${boot.trim()}.${fields[19] ?? ''}`;
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (thrown) {
    return errnoOf(thrown) === 'EPERM';
  }
}

function isAlive(holder: Holder): boolean {
  if (readProcFile('/proc/self/stat') === null) return isRunning(holder.pid);
  return readBegan(holder.pid) === holder.began;
}

function readHolder(path: string): Holder | null {
  try {
    const [pid, ...began] = readlinkSync(path).split(':');
    return { pid: Number(pid), began: began.join(':') };
  } catch {
    return null;
  }
}

function removeIfThere(path: string): void {
  try {
    unlinkSync(path);
  } catch (thrown) {
    if (errnoOf(thrown) !== 'ENOENT') throw thrown;
  }
}

/** Takes the lock for as long as this process lives. Throws Fault `already_running`, or `io_error` if it cannot be made. */
export function takeLock(directory: string): void {
  const text = `${process.pid}:${readBegan(process.pid) ?? ''}`;
  for (let attempt = 0; attempt < TRIES_MAX; attempt += 1) {
    const highest = generations(directory).at(-1) ?? 0;
    const holder = readHolder(join(directory, `lock.${highest}`));
    if (holder !== null && isAlive(holder)) {
      throw new Fault('already_running', `another auditor (pid ${holder.pid}) holds this log`);
    }
    const mine = highest + 1;
    try {
      symlinkSync(text, join(directory, `lock.${mine}`));
    } catch (thrown) {
      if (errnoOf(thrown) === 'EEXIST') continue;
      throw new Fault('io_error', `the log's lock cannot be made (${errnoOf(thrown)})`, { cause: thrown });
    }
    const after = generations(directory);
    if (after.at(-1) === mine) {
      for (const old of after.slice(0, -1)) removeIfThere(join(directory, `lock.${old}`));
      return;
    }
    removeIfThere(join(directory, `lock.${mine}`));
  }
  throw new Fault('already_running', 'another auditor is taking this log');
}
