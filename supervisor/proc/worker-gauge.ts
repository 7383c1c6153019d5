import { Fault } from '../../abi/errno.js';
import { LIMITS } from '../../abi/limits.js';
import { innermostChild, type ProcessStats, readProcessStats } from './process-stats.js';

/** What `ps` shows of one worker, and what its memory limit is held against. */
export class WorkerGauge {
  /** The process that we started: bubblewrap in the jail. Null while there is none, or it does not run a capsule yet. */
  #started: number | null = null;
  #pid: number | null = null;

  /** The worker itself, or null. */
  get pid(): number | null {
    return this.#pid;
  }

  get isOn(): boolean {
    return this.#started !== null;
  }

  turnOn(startedPid: number): void {
    this.#started = startedPid;
    this.#find();
  }

  turnOff(): void {
    this.#started = null;
    this.#pid = null;
  }

  read(): ProcessStats | null {
    this.#find();
    return this.#pid === null ? null : readProcessStats(this.#pid);
  }

  /** What is over its limit, or null. @param silentMs how long a run loop made no host call */
  findExcess(memoryBytesMax: number, silentMs: number): Fault | null {
    const rss = this.read()?.rssBytes ?? 0;
    if (rss > memoryBytesMax) {
      return new Fault('out_of_memory', `the process holds ${rss} bytes, the limit is ${memoryBytesMax}`);
    }
    if (silentMs <= LIMITS.runLoopWatchdogMs) return null;
    return new Fault('timed_out', `the run loop made no host call for ${Math.round(silentMs / 1000)} s`);
  }

  /** Tried again at the next look where it cannot be told now, without a free descriptor for example. */
  #find(): void {
    if (this.#started === null || this.#pid !== null) return;
    try {
      this.#pid = innermostChild(this.#started);
    } catch (error) {
      if (!(error instanceof Error)) throw error;
    }
  }
}
