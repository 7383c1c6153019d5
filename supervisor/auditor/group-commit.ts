import { asFault, Fault } from '../../abi/errno.js';
import type { Appended } from './log.js';

interface Request {
  readonly events: readonly Buffer[];
  readonly resolve: (appended: Appended) => void;
  readonly reject: (fault: Fault) => void;
}

/** One batch stays below these, so that a flood does not turn into one endless write. */
const BATCH_EVENTS_MAX = 4096;
const BATCH_BYTES_MAX = 4 * 1024 * 1024;

/**
 * Collects what arrives while a batch is being synced and appends it as the next one: one write, one signature and one sync for all of
 * it. Requests are answered in order. After a failed batch, everything sent in its epoch is refused (abi/audit/protocol.ts).
 */
export class GroupCommit {
  readonly #append: (events: readonly Buffer[]) => Promise<Appended>;
  #queue: Request[] = [];
  #epoch = 0;
  #running: Promise<void> | null = null;

  constructor(append: (events: readonly Buffer[]) => Promise<Appended>) {
    this.#append = append;
  }

  /** Resolves when the events are durable. Rejects with a Fault; then none of them is in the log. */
  submit(epoch: number, events: readonly Buffer[]): Promise<Appended> {
    if (epoch !== this.#epoch) return Promise.reject(new Fault('cancelled', 'an earlier batch of this epoch failed'));
    return new Promise((resolve, reject) => {
      this.#queue.push({ events, resolve, reject });
      // Later, so that all frames of one read join the first batch.
      this.#running ??= Promise.resolve().then(() => this.#run());
    });
  }

  /** Resolves when nothing waits any more. */
  async idle(): Promise<void> {
    while (this.#running !== null) await this.#running;
  }

  async #run(): Promise<void> {
    while (this.#queue.length > 0) await this.#commit(this.#take());
    this.#running = null;
  }

  #take(): Request[] {
    let events = 0;
    let bytes = 0;
    let count = 0;
    for (const request of this.#queue) {
      events += request.events.length;
      bytes += request.events.reduce((sum, event) => sum + event.length, 0);
      if (count > 0 && (events > BATCH_EVENTS_MAX || bytes > BATCH_BYTES_MAX)) break;
      count += 1;
    }
    return this.#queue.splice(0, count);
  }

  async #commit(requests: readonly Request[]): Promise<void> {
    try {
      const { firstIndex, treeSize, checkpoint } = await this.#append(requests.flatMap((request) => request.events));
      let next = firstIndex;
      for (const { events, resolve } of requests) {
        resolve({ firstIndex: next, treeSize, checkpoint });
        next += events.length;
      }
    } catch (thrown) {
      const fault = asFault(thrown);
      this.#epoch += 1;
      const behind = this.#queue;
      this.#queue = [];
      for (const { reject } of requests) reject(fault);
      for (const { reject } of behind) reject(new Fault('cancelled', 'an earlier batch of this epoch failed'));
    }
  }
}
