import { Fault } from '../abi/errno.js';

export interface Closable {
  close(): Promise<void>;
}

/** A hold on what is open. Releasing twice is releasing once. */
export interface Lease<T> {
  readonly held: T;
  release(): void;
}

interface Entry<T> {
  readonly opened: Promise<T>;
  /** Leases that are out, and those that wait for it to be open. */
  uses: number;
  /** Settles when it is closed and another one of this key may be opened; null while it is in use or may be. */
  closing: Promise<unknown> | null;
}

/**
 * Things that hold descriptors, opened when they are used and at most so many of them without a use: the one that was not
 * used for longest is closed, and opened again by its next use. What is in use is never closed, so there can be more while
 * more are used at once.
 *
 * absent → opening → in use ⇄ idle → closing → absent. A use that comes while it is being closed waits and opens it anew:
 * two of the same key would write the same files.
 */
export class HeldPool<T extends Closable> {
  readonly #openMax: number;
  readonly #open: (key: string) => Promise<T>;
  /** Least recently used first. */
  readonly #entries = new Map<string, Entry<T>>();
  #closed = false;

  constructor(openMax: number, open: (key: string) => Promise<T>) {
    this.#openMax = openMax;
    this.#open = open;
  }

  async use<R>(key: string, work: (held: T) => Promise<R>): Promise<R> {
    const lease = await this.lease(key);
    try {
      return await work(lease.held);
    } finally {
      lease.release();
    }
  }

  /** Two at once share one opening; one that failed is tried again by the next use. */
  async lease(key: string): Promise<Lease<T>> {
    let known = this.#entries.get(key);
    while (known?.closing) {
      await known.closing;
      known = this.#entries.get(key);
    }
    if (this.#closed) throw new Fault('cancelled', 'the files are being closed');
    const entry = known ?? { opened: this.#makeRoomAndOpen(key), uses: 0, closing: null };
    entry.uses += 1;
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    try {
      const held = await entry.opened;
      let isOut = true;
      const release = (): void => {
        if (!isOut) return;
        isOut = false;
        entry.uses -= 1;
        void this.#closeIdle();
      };
      return { held, release };
    } catch (error) {
      if (this.#entries.get(key) === entry) this.#entries.delete(key);
      throw error;
    }
  }

  /** Closes everything, also what is in use: its own `close` decides what becomes of operations under way. */
  async close(): Promise<void> {
    this.#closed = true;
    await Promise.allSettled([...this.#entries].map(([key, entry]) => entry.closing ?? this.#end(key, entry)));
  }

  async #makeRoomAndOpen(key: string): Promise<T> {
    // The caller counts it first, so that it is one of those that must fit.
    await null;
    await this.#closeIdle();
    return this.#open(key);
  }

  async #closeIdle(): Promise<void> {
    if (this.#closed || this.#entries.size <= this.#openMax) return;
    const open = [...this.#entries].filter(([, { closing }]) => closing === null);
    const tooMany = Math.max(0, open.length - this.#openMax);
    const idle = open.filter(([, { uses }]) => uses === 0).slice(0, tooMany);
    // One that cannot be closed is nobody's fault who needs another one, and its descriptors are gone all the same (close(2)).
    await Promise.allSettled(idle.map(([key, entry]) => this.#end(key, entry)));
  }

  #end(key: string, entry: Entry<T>): Promise<unknown> {
    const end = async (): Promise<void> => {
      try {
        await (await entry.opened).close();
      } finally {
        if (this.#entries.get(key) === entry) this.#entries.delete(key);
      }
    };
    entry.closing = Promise.allSettled([end()]);
    return entry.closing;
  }
}
