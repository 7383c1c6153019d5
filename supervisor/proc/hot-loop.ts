/** Calls that follow each other within this time are a burst, in which the next one is worth waiting for awake. */
const BURST_GAP_MS = 0.25;
/** The most that is spent awake after a reply. */
const AWAKE_MS = 0.06;
/** So many waits in vain, one after the other, say that staying awake does not help now. */
const VAIN_MAX = 4;
/** Then so many replies go by before it is tried again: first few, later many. */
const PAUSE_FIRST = 16;
const PAUSE_MAX = 1024;

/**
 * Keeps the event loop from sleeping for a moment after a reply, while a worker makes one host call after another. Waking a
 * sleeping core costs more than all the rest of a small call. One call alone spends nothing, and no moment is longer than
 * `AWAKE_MS`, so an idle supervisor stays idle.
 *
 * Where supervisor and worker share one core (a machine with one, or a busy host), whoever stays awake keeps the other from
 * running, and a call takes ten times as long. There the next call never comes while we wait, and that is how it is noticed.
 */
export class HotLoop {
  #lastReply = Number.NEGATIVE_INFINITY;
  #until = 0;
  #spinning = false;
  #vain = 0;
  #pause = PAUSE_FIRST;
  #skip = 0;

  /** To be called right after a reply was written. */
  replied(): void {
    const now = performance.now();
    const isBurst = now - this.#lastReply < BURST_GAP_MS;
    this.#lastReply = now;
    if (this.#spinning) {
      // The call that is answered here came while we were awake for it.
      this.#vain = 0;
      this.#pause = PAUSE_FIRST;
    }
    if (!isBurst) return;
    if (this.#skip > 0) {
      this.#skip -= 1;
      return;
    }
    this.#until = now + AWAKE_MS;
    if (this.#spinning) return;
    this.#spinning = true;
    setImmediate(this.#spin);
  }

  readonly #spin = (): void => {
    if (performance.now() < this.#until) {
      setImmediate(this.#spin);
      return;
    }
    this.#spinning = false;
    this.#vain += 1;
    if (this.#vain < VAIN_MAX) return;
    this.#vain = 0;
    this.#skip = this.#pause;
    this.#pause = Math.min(this.#pause * 2, PAUSE_MAX);
  };
}
