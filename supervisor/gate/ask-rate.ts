import { LIMITS } from '../../abi/limits.js';

const WINDOW_MS = 60_000;

/** How many questions an owner may still ask in its present minute. */
export class AskRate {
  readonly #perMinute: number;
  readonly #now: () => number;
  readonly #windows = new Map<string, { readonly since: number; count: number }>();

  constructor(perMinute: number, now: () => number) {
    this.#perMinute = perMinute;
    this.#now = now;
  }

  /** Whether `take` would be true now. */
  hasRoom(owner: string): boolean {
    const window = this.#windows.get(owner);
    return window === undefined || !this.#isPresent(window) || window.count < this.#perMinute;
  }

  /** Counts one; false when there was none left. A clock that goes back starts a new window, never a longer one. */
  take(owner: string): boolean {
    const now = this.#now();
    const window = this.#windows.get(owner);
    if (window !== undefined && this.#isPresent(window)) {
      window.count++;
      return window.count <= this.#perMinute;
    }
    this.#windows.delete(owner);
    if (this.#windows.size >= LIMITS.approvalAskersMax) {
      const oldest = this.#windows.keys().next().value;
      if (oldest !== undefined) this.#windows.delete(oldest);
    }
    this.#windows.set(owner, { since: now, count: 1 });
    return true;
  }

  #isPresent({ since }: { readonly since: number }): boolean {
    const age = this.#now() - since;
    return age >= 0 && age < WINDOW_MS;
  }
}
