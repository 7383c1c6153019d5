import { addTimer } from './event-loop.js';

declare const DOMException: new (message: string, name: string) => Error;

interface AbortEvent {
  readonly type: 'abort';
  readonly target: AbortSignal;
}
type Listener = ((event: AbortEvent) => void) | { handleEvent(event: AbortEvent): void };

/** Only `AbortController` and the static functions make signals. */
const KEY = Symbol('signal');
let trip: (signal: AbortSignal, reason: unknown) => void;

/** The `AbortSignal` of the web, with `abort` as its only event. Host calls that already wait are not interrupted. */
export class AbortSignal {
  #reason: unknown;
  #aborted = false;
  readonly #listeners = new Map<Listener, boolean>();
  onabort: ((event: AbortEvent) => void) | null = null;

  static {
    trip = (signal, reason) => signal.#trip(reason);
  }

  constructor(key: unknown) {
    if (key !== KEY) throw new TypeError('Illegal constructor: use AbortController');
  }

  static abort(reason?: unknown): AbortSignal {
    const signal = new AbortSignal(KEY);
    signal.#trip(reason);
    return signal;
  }

  /** Aborts after so many milliseconds, with a `TimeoutError`; only while the invocation awaits (see `timers.ts`). */
  static timeout(ms: number): AbortSignal {
    const signal = new AbortSignal(KEY);
    addTimer(() => signal.#trip(new DOMException('The operation timed out', 'TimeoutError')), ms, false);
    return signal;
  }

  static any(signals: Iterable<AbortSignal>): AbortSignal {
    const joined = new AbortSignal(KEY);
    for (const signal of signals) {
      if (signal.aborted) joined.#trip(signal.reason);
      else signal.addEventListener('abort', () => joined.#trip(signal.reason), { once: true });
    }
    return joined;
  }

  get aborted(): boolean {
    return this.#aborted;
  }

  get reason(): unknown {
    return this.#reason;
  }

  throwIfAborted(): void {
    if (this.#aborted) throw this.#reason;
  }

  addEventListener(type: 'abort', listener: Listener, options: { once?: boolean } | boolean = {}): void {
    if (type !== 'abort' || this.#listeners.has(listener)) return;
    this.#listeners.set(listener, typeof options === 'object' && options.once === true);
  }

  removeEventListener(_type: 'abort', listener: Listener): void {
    this.#listeners.delete(listener);
  }

  #trip(reason: unknown): void {
    if (this.#aborted) return;
    this.#aborted = true;
    this.#reason = reason === undefined ? new DOMException('This operation was aborted', 'AbortError') : reason;
    const event: AbortEvent = { type: 'abort', target: this };
    this.onabort?.(event);
    for (const [listener, once] of [...this.#listeners]) {
      if (once) this.#listeners.delete(listener);
      if (typeof listener === 'function') listener(event);
      else listener.handleEvent(event);
    }
  }
}

/** The `AbortController` of the web. */
export class AbortController {
  readonly signal = new AbortSignal(KEY);

  abort(reason?: unknown): void {
    trip(this.signal, reason);
  }
}
