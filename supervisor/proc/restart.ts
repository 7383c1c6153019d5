import { LIMITS } from '../../abi/limits.js';
import type { RestartPolicy } from '../../abi/manifest.js';

export type RestartDecision =
  | { readonly kind: 'restart'; readonly afterMs: number }
  | { readonly kind: 'give-up'; readonly why: string }
  | { readonly kind: 'stay-down' };

/**
 * How a capsule ended. `clean` is a run loop that returned zero; `not-started` that the system had no process or descriptor to start
 * it with; `failed` is everything else that was not asked for.
 */
export type EndKind = 'clean' | 'failed' | 'not-started';

const NOT_STARTED_WAIT_MS = 2_000;

/**
 * OTP's restart intensity with systemd's vocabulary (design section 9): so many restarts in a window, then give up aloud.
 * Backoff doubles from one second with jitter and starts over when a window passes without a restart.
 */
export class RestartPlan {
  readonly #policy: RestartPolicy;
  readonly #now: () => number;
  readonly #random: () => number;
  #recent: number[] = [];
  #total = 0;
  #timer: NodeJS.Timeout | null = null;

  constructor(policy: RestartPolicy, now: () => number, random: () => number) {
    this.#policy = policy;
    this.#now = now;
    this.#random = random;
  }

  get total(): number {
    return this.#total;
  }

  decide(end: EndKind): RestartDecision {
    if (this.#policy === 'never' || (this.#policy === 'on-failure' && end === 'clean')) return { kind: 'stay-down' };
    // Not the capsule's doing: tried until there is one, without counting.
    if (end === 'not-started') return { kind: 'restart', afterMs: NOT_STARTED_WAIT_MS };
    const now = this.#now();
    this.#recent = this.#recent.filter((time) => now - time < LIMITS.restartWindowMs);
    if (this.#recent.length >= LIMITS.restartIntensity) {
      const seconds = LIMITS.restartWindowMs / 1000;
      return { kind: 'give-up', why: `${this.#recent.length} restarts within ${seconds} s` };
    }
    const doubled = LIMITS.restartBackoffMs * 2 ** this.#recent.length;
    const afterMs = Math.min(doubled, LIMITS.restartBackoffMsMax) * (0.75 + 0.5 * this.#random());
    this.#recent.push(now);
    this.#total++;
    return { kind: 'restart', afterMs: Math.round(afterMs) };
  }

  /** The wait before a restart that was decided. */
  later(afterMs: number, start: () => void): void {
    this.cancel();
    this.#timer = setTimeout(start, afterMs);
  }

  /** What was to come does not, and nothing is left that keeps the system up. */
  cancel(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  /** An operator's restart begins with a clean record. */
  forgive(): void {
    this.#recent = [];
  }
}
