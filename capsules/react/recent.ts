/**
 * What described itself lately, by name. A capsule that is being restarted does not answer when it is asked what it
 * offers, but what is sent to it meanwhile waits for it; to forget its tools for a second would be to lose them for a turn.
 */
export class Recent<T> {
  readonly #entries = new Map<string, { readonly value: T; readonly seenMs: number }>();
  readonly #keepMs: number;

  constructor(keepMs: number) {
    this.#keepMs = keepMs;
  }

  /** Notes what is there now and gives it together with what was there a short while ago. */
  refresh(present: ReadonlyMap<string, T>, nowMs: number): T[] {
    for (const [name, { seenMs }] of this.#entries) if (nowMs - seenMs > this.#keepMs) this.#entries.delete(name);
    for (const [name, value] of present) this.#entries.set(name, { value, seenMs: nowMs });
    return [...this.#entries].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, { value }]) => value);
  }
}
