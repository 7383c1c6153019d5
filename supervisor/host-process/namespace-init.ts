import { readProcFile } from '../proc-file.js';

const POLL_MS = 2;

/**
 * The first process of a command's pid namespace, told from a later process with the same pid by its start time. While its state
 * cannot be told (no descriptor is free to read it) it counts as running, and is not signalled: the pid may be another's.
 */
export class NamespaceInit {
  readonly pid: number;
  /** Null when it could not be read in time: later it may be another process's. */
  readonly #startTime: string | null;

  constructor(pid: number) {
    this.pid = pid;
    const stat = readStat(pid);
    this.#startTime = stat === 'unknown' ? null : (stat?.startTime ?? '');
  }

  /**
   * SIGINT reaches the command and what it started; the first process of a namespace ignores it. SIGKILL ends them all. False when
   * nothing was sent because it cannot be told whether this is still it.
   */
  signal(signal: 'SIGINT' | 'SIGKILL'): boolean {
    const state = this.#state();
    if (state !== 'running') return state === 'gone';
    try {
      process.kill(signal === 'SIGKILL' ? this.pid : -this.pid, signal);
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
    }
    return true;
  }

  /** It is the last of its namespace to become a zombie or vanish: then nothing in there runs any more. */
  isGone(): boolean {
    return this.#state() === 'gone';
  }

  /** False when it is still there after so long. */
  async waitGone(msMax: number): Promise<boolean> {
    for (const end = performance.now() + msMax; !this.isGone(); ) {
      if (performance.now() > end) return false;
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
    return true;
  }

  #state(): 'running' | 'gone' | 'unknown' {
    const stat = readStat(this.pid);
    if (stat === null) return 'gone';
    if (stat === 'unknown' || this.#startTime === null) return 'unknown';
    return stat.startTime !== this.#startTime || stat.state === 'Z' || stat.state === 'X' ? 'gone' : 'running';
  }
}

/** State and start time of proc(5): fields 3 and 22, counted from behind the name, which may hold anything. */
function readStat(pid: number): { state: string; startTime: string } | null | 'unknown' {
  try {
    const text = readProcFile(`/proc/${pid}/stat`);
    if (text === null) return null;
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    return { state: fields[0] ?? '', startTime: fields[19] ?? '' };
  } catch (error) {
    if (error instanceof Error) return 'unknown';
    throw error;
  }
}
