import { LIMITS } from '../abi/limits.js';

interface Bucket {
  left: number;
  filledAt: number;
}

/**
 * How many entries that are written one by one (audit class `before`) a capsule may still cause. They are synced to the disk, signed
 * and never summarised, so without a bound one loop that was allowed once fills the disk.
 */
export class EntryRate {
  /** By the capsule's process, which lives through restarts: a crash fills no bucket. */
  readonly #buckets = new WeakMap<object, Bucket>();
  readonly #now: () => number;

  /** @param now milliseconds that never go back */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** How long the next entry has to wait; 0 when there is room. Takes nothing. */
  waitMs(owner: object): number {
    const { left } = this.#fill(owner);
    return left >= 1 ? 0 : Math.ceil(((1 - left) * 1000) / LIMITS.auditEntriesPerSecondMax);
  }

  take(owner: object): void {
    this.#fill(owner).left -= 1;
  }

  #fill(owner: object): Bucket {
    const now = this.#now();
    const known = this.#buckets.get(owner);
    if (known === undefined) {
      const full = { left: LIMITS.auditEntriesBurstMax, filledAt: now };
      this.#buckets.set(owner, full);
      return full;
    }
    const gained = ((now - known.filledAt) * LIMITS.auditEntriesPerSecondMax) / 1000;
    known.left = Math.min(LIMITS.auditEntriesBurstMax, known.left + gained);
    known.filledAt = now;
    return known;
  }
}
