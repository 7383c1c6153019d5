import { LIMITS } from '../abi/limits.js';

/** Above this many keys, those whose window is over are forgotten, so that a stream of new names cannot fill memory. */
const KEYS_KEPT = 1024;

/**
 * A byte allowance per key and window (ABI reference 4.6: 10 MiB in each second). The window of a key opens with its
 * first bytes; what does not fit is refused and not charged. The clock is the caller's, in milliseconds.
 */
export class RateWindow {
  readonly #bytesMax: number;
  readonly #windowMs: number;
  readonly #windows = new Map<string, { openedAt: number; bytes: number }>();
  #pruneAbove = KEYS_KEPT;

  constructor(bytesMax: number = LIMITS.publishBytesPerSecondMax, windowMs = 1000) {
    this.#bytesMax = bytesMax;
    this.#windowMs = windowMs;
  }

  /** Charges `bytes` to `key`. False, and nothing charged, when the window has no room for them. */
  take(key: string, bytes: number, nowMs: number): boolean {
    const window = this.#windows.get(key);
    // A clock that was set back would keep an old window open for as long as it was set back by.
    if (window === undefined || nowMs - window.openedAt >= this.#windowMs || nowMs < window.openedAt) {
      if (bytes > this.#bytesMax) return false;
      this.#open(key, bytes, nowMs);
      return true;
    }
    if (window.bytes + bytes > this.#bytesMax) return false;
    window.bytes += bytes;
    return true;
  }

  #open(key: string, bytes: number, nowMs: number): void {
    this.#windows.set(key, { openedAt: nowMs, bytes });
    if (this.#windows.size <= this.#pruneAbove) return;
    for (const [other, window] of this.#windows) {
      if (nowMs - window.openedAt >= this.#windowMs) this.#windows.delete(other);
    }
    // If all are live, the next sweep waits for twice as many: a sweep per call would be quadratic.
    this.#pruneAbove = Math.max(KEYS_KEPT, this.#windows.size * 2);
  }
}
