/** Calls that follow each other within this time are a burst, in which the next one is worth waiting for awake. */
const BURST_GAP_MS = 0.25;
/** The most that is spent awake after a reply. */
const AWAKE_MS = 0.06;

/**
 * Keeps the event loop from sleeping for a moment after a reply, while a worker makes one host call after another. Waking a
 * sleeping core costs more than all the rest of a small call. One call alone spends nothing, and no moment is longer than
 * `AWAKE_MS`, so an idle supervisor stays idle.
 */
export class HotLoop {
  #lastReply = Number.NEGATIVE_INFINITY;
  #until = 0;
  #spinning = false;

  /** To be called right after a reply was written. */
  replied(): void {
    const now = performance.now();
    const isBurst = now - this.#lastReply < BURST_GAP_MS;
    this.#lastReply = now;
    if (!isBurst) return;
    this.#until = now + AWAKE_MS;
    if (this.#spinning) return;
    this.#spinning = true;
    setImmediate(this.#spin);
  }

  readonly #spin = (): void => {
    if (performance.now() < this.#until) setImmediate(this.#spin);
    else this.#spinning = false;
  };
}
