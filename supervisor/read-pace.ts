import { LIMITS } from '../abi/limits.js';

interface Allowance {
  places: number;
  /** When that was so. */
  at: number;
}

/**
 * How many directories each capsule may still read from at once; more become free with time. Nothing is refused: `take` may go below
 * zero, and `waitMs` says for how long the capsule has to wait before its next read.
 */
export class ReadPace {
  readonly #now: () => number;
  readonly #allowances = new Map<string | null, Allowance>();

  constructor(now: () => number) {
    this.#now = now;
  }

  /** One directory more. */
  take(capsule: string | null): void {
    const known = this.#renewed(capsule);
    if (known !== null) known.places -= 1;
    else this.#allowances.set(capsule, { places: LIMITS.auditReadPlacesBurst - 1, at: this.#now() });
  }

  waitMs(capsule: string): number {
    const places = this.#renewed(capsule)?.places ?? LIMITS.auditReadPlacesBurst;
    return places >= 1 ? 0 : Math.ceil(((1 - places) * 1000) / LIMITS.auditReadPlacesPerSecond);
  }

  /** As of now; null when nothing is missing, which is not kept: names of capsules come and go. */
  #renewed(capsule: string | null): Allowance | null {
    const known = this.#allowances.get(capsule);
    if (known === undefined) return null;
    const now = this.#now();
    // A clock that was set back gives nothing, and takes nothing.
    const elapsedMs = Math.max(0, now - known.at);
    known.places += (elapsedMs * LIMITS.auditReadPlacesPerSecond) / 1000;
    known.at = now;
    if (known.places < LIMITS.auditReadPlacesBurst) return known;
    this.#allowances.delete(capsule);
    return null;
  }
}
