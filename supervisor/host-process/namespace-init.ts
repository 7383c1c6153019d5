import { readFileSync } from 'node:fs';

const POLL_MS = 2;

/** The first process of a command's pid namespace, told from a later process with the same pid by its start time. */
export class NamespaceInit {
  readonly pid: number;
  readonly #startTime: string | null;

  constructor(pid: number) {
    this.pid = pid;
    this.#startTime = readStat(pid)?.startTime ?? null;
  }

  /** SIGINT reaches the command and what it started; the first process of a namespace ignores it. SIGKILL ends them all. */
  signal(signal: 'SIGINT' | 'SIGKILL'): void {
    if (this.isGone()) return;
    try {
      process.kill(signal === 'SIGKILL' ? this.pid : -this.pid, signal);
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
    }
  }

  /** It is the last of its namespace to become a zombie or vanish: then nothing in there runs any more. */
  isGone(): boolean {
    const stat = readStat(this.pid);
    return stat === null || stat.startTime !== this.#startTime || stat.state === 'Z' || stat.state === 'X';
  }

  /** False when it is still there after so long. */
  async waitGone(msMax: number): Promise<boolean> {
    for (const end = performance.now() + msMax; !this.isGone(); ) {
      if (performance.now() > end) return false;
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
    return true;
  }
}

/** State and start time of proc(5): fields 3 and 22, counted from behind the name, which may hold anything. */
function readStat(pid: number): { state: string; startTime: string } | null {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    return { state: fields[0] ?? '', startTime: fields[19] ?? '' };
  } catch (error) {
    if (error instanceof Error) return null;
    throw error;
  }
}
