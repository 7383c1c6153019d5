import type { RootDatabase } from 'lmdb';
import { Fault } from '../../abi/errno.js';
import { faultOfCommit } from './disk-fault.js';

interface Job {
  readonly work: () => unknown;
  readonly resolve: (value: unknown) => void;
  readonly reject: (reason: unknown) => void;
}

type Outcome = { readonly ok: true; readonly value: unknown } | { readonly ok: false; readonly reason: unknown };

/** Writers of one commit. More only lengthens the time the loop spends inside one transaction. */
const BATCH_JOBS_MAX = 256;
/** Far above what the capsules of one machine can have in flight, since each has one call at a time. */
const WAITING_JOBS_MAX = 16_384;

/** Thrown out of a transaction to undo all of it because one job failed after it had written. */
class Undo extends Error {}

/**
 * Group commit: jobs that arrive while a commit is under way share the next one. Life of a job: waiting → in a
 * transaction → committed and resolved, or undone. A batch that fails as a whole is tried again job by job, so that
 * one value too large for a full disk does not take its neighbours with it.
 */
export class CommitQueue {
  readonly #root: RootDatabase<Buffer, Buffer>;
  readonly #dir: string;
  readonly #commitWaitMs: number;
  #waiting: Job[] = [];
  #draining: Promise<void> | null = null;
  #closed = false;
  /** True while a commit is past its deadline: what it holds is unknown, so nothing may follow it. */
  #stalled = false;
  #inJob = false;
  #wrote = false;
  #scans = 0;
  #scansEnded: (() => void) | null = null;

  constructor(root: RootDatabase<Buffer, Buffer>, dir: string, commitWaitMs: number) {
    this.#root = root;
    this.#dir = dir;
    this.#commitWaitMs = commitWaitMs;
  }

  add<T>(work: () => T): Promise<T> {
    const refusal = this.#refusal();
    if (refusal !== null) return Promise.reject(refusal);
    return new Promise<T>((resolve, reject) => {
      this.#waiting.push({ work, resolve: resolve as (value: unknown) => void, reject });
      this.#draining ??= this.#drain();
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#draining;
    if (this.#scans > 0) {
      await new Promise<void>((resolve) => {
        this.#scansEnded = resolve;
      });
    }
  }

  /**
   * Walks lmdb's cursor. Closing the database under an open cursor would crash the process, so `close` waits for the
   * walks, and a walk ends at its next step once the database is closing.
   */
  *scan<T>(cursor: Iterable<T>): Generator<T> {
    this.#scans++;
    try {
      for (const item of cursor) {
        this.checkOpen();
        yield item;
      }
    } finally {
      if (--this.#scans === 0) this.#scansEnded?.();
    }
  }

  checkOpen(): void {
    if (this.#closed) throw closed();
  }

  /** Called by the tables before each change: a change outside of a job would not be atomic with anything. */
  noteWrite(): void {
    if (!this.#inJob) throw new Fault('internal', 'a table was written outside of a transaction');
    this.#wrote = true;
  }

  #refusal(): Fault | null {
    if (this.#closed) return closed();
    if (this.#stalled) return new Fault('io_error', 'the state database does not answer');
    if (this.#waiting.length >= WAITING_JOBS_MAX) return new Fault('rate_limited', 'too many writes are waiting');
    return null;
  }

  async #drain(): Promise<void> {
    // One turn of the microtask queue, so that the writers of one event share a commit.
    await null;
    while (this.#waiting.length > 0) {
      const batch = this.#waiting.splice(0, BATCH_JOBS_MAX);
      const failed = await this.#commit(batch);
      if (failed === null) continue;
      if (batch.length === 1) batch[0]!.reject(failed);
      else for (const job of batch) await this.#commitAlone(job);
    }
    this.#draining = null;
  }

  async #commitAlone(job: Job): Promise<void> {
    const failed = await this.#commit([job]);
    if (failed !== null) job.reject(failed);
  }

  /** Null when every job was answered; else why the whole transaction was undone, with no job answered. */
  async #commit(batch: readonly Job[]): Promise<unknown> {
    if (this.#stalled) return new Fault('io_error', 'the state database does not answer');
    const outcomes: Outcome[] = [];
    const failed = await this.#withDeadline(this.#transact(batch, outcomes));
    if (failed !== null) return failed;
    batch.forEach((job, at) => {
      const outcome = outcomes[at]!;
      if (outcome.ok) job.resolve(outcome.value);
      else job.reject(outcome.reason);
    });
    return null;
  }

  /** Never rejects: null, or the reason why nothing was written. */
  async #transact(batch: readonly Job[], outcomes: Outcome[]): Promise<unknown> {
    try {
      await this.#root.childTransaction(() => this.#run(batch, outcomes));
      return null;
    } catch (thrown) {
      return faultOfCommit(thrown instanceof Undo ? thrown.cause : thrown, this.#dir);
    }
  }

  #run(batch: readonly Job[], outcomes: Outcome[]): void {
    for (const job of batch) {
      this.#inJob = true;
      this.#wrote = false;
      try {
        outcomes.push({ ok: true, value: job.work() });
      } catch (reason) {
        // A refusal before the first change leaves nothing behind: the other jobs may commit.
        if (this.#wrote) throw new Undo('a job failed half-way', { cause: reason });
        outcomes.push({ ok: false, reason });
      } finally {
        this.#inJob = false;
      }
    }
  }

  async #withDeadline(commit: Promise<unknown>): Promise<unknown> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<unknown>((resolve) => {
      timer = setTimeout(() => {
        this.#stalled = true;
        commit.then(() => {
          this.#stalled = false;
        });
        resolve(new Fault('io_error', `the state database did not commit within ${this.#commitWaitMs} ms`));
      }, this.#commitWaitMs);
    });
    try {
      return await Promise.race([commit, late]);
    } finally {
      clearTimeout(timer);
    }
  }
}

function closed(): Fault {
  return new Fault('not_running', 'the state database is closed');
}
