/**
 * What described itself lately, by name. A capsule that is being restarted does not answer when it is asked what it
 * offers, but what is sent to it meanwhile waits for it; to forget its tools for a second would be to lose them for a turn.
 * Only a crash is such a reason to be silent: what is silent without one was removed, and a request to it would wait for ever.
 */
export class Recent<T> {
  readonly #entries = new Map<string, { readonly value: T; readonly seenMs: number }>();

  /** Notes what is there now and gives it, by name, together with what may come back. */
  refresh(present: ReadonlyMap<string, T>, nowMs: number): T[] {
    for (const [name, { seenMs }] of this.#entries) {
      if (!mayReturn(seenMs, nowMs)) this.#entries.delete(name);
    }
    for (const [name, value] of present) this.#entries.set(name, { value, seenMs: nowMs });
    return [...this.#entries].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, { value }]) => value);
  }

  /** Forgets what the kernel says will not come back. */
  drop(isGone: (value: T) => boolean): void {
    for (const [name, { value }] of this.#entries) if (isGone(value)) this.#entries.delete(name);
  }
}

/** Longer than the longest pause between two restarts. */
const RESTART_MS = 5 * 60_000;

/** When a process last ended by itself, as the kernel tells; minus infinity when capsules came or went since. */
let crashedMs = Number.NEGATIVE_INFINITY;

export function noteCrash(nowMs: number): void {
  crashedMs = nowMs;
}

/** Capsules came or went: what is silent from now on may be what went. */
export function forgetCrashes(): void {
  crashedMs = Number.NEGATIVE_INFINITY;
}

/** True when something that was there at `seenMs` may be silent because it is being restarted. */
export function mayReturn(seenMs: number, nowMs: number): boolean {
  return seenMs <= crashedMs && nowMs - crashedMs <= RESTART_MS;
}
