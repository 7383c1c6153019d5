/** A deadline that stands still while a person is being asked. */
export class WallClock {
  readonly #onExpiry: () => void;
  #remainingMs: number;
  #startedAt = 0;
  #timer: NodeJS.Timeout | null = null;

  constructor(wallMs: number, onExpiry: () => void) {
    this.#remainingMs = wallMs;
    this.#onExpiry = onExpiry;
    this.resume();
  }

  pause(): void {
    if (this.#timer === null) return;
    clearTimeout(this.#timer);
    this.#timer = null;
    this.#remainingMs -= performance.now() - this.#startedAt;
  }

  resume(): void {
    if (this.#timer !== null) return;
    this.#startedAt = performance.now();
    this.#timer = setTimeout(this.#onExpiry, Math.max(0, this.#remainingMs));
  }

  stop(): void {
    this.pause();
  }
}
