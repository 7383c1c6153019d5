import { Fault } from '../abi/errno.js';

/**
 * What a reader that never reads may hold: the socket has no flow control per stream, so without this bound a
 * stopped pager on `logs -f` would grow this process without end.
 */
const EVENTS_WAITING_MAX = 65_536;

/**
 * Events of one control stream, in order, as an async iterable for one reader.
 *
 *   open ── push* ──► ended (null: complete, Fault: why not)
 *     └── cancel ──► ended; the supervisor is told
 */
export class EventStream implements AsyncIterable<unknown> {
  readonly #waiting: unknown[] = [];
  #wake: (() => void) | null = null;
  #ended = false;
  #fault: Fault | null = null;
  #tellSupervisor: () => void = () => {};

  onCancel(handler: () => void): void {
    this.#tellSupervisor = handler;
    // Cancelled before the answer that names the stream came: tell it now.
    if (this.#ended) handler();
  }

  push(event: unknown): void {
    if (this.#ended) return;
    if (this.#waiting.length >= EVENTS_WAITING_MAX) {
      this.#tellSupervisor();
      this.end(new Fault('rate_limited', `the reader is ${EVENTS_WAITING_MAX} events behind`));
      return;
    }
    this.#waiting.push(event);
    this.#notify();
  }

  end(fault: Fault | null): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#fault = fault;
    this.#notify();
  }

  /** Stops the stream; what was received and not read is dropped. */
  cancel(): void {
    if (this.#ended) return;
    this.#waiting.length = 0;
    this.end(null);
    this.#tellSupervisor();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<unknown, void, void> {
    try {
      for (;;) {
        while (this.#waiting.length > 0) yield this.#waiting.shift();
        if (this.#ended) break;
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    } finally {
      this.cancel();
    }
    if (this.#fault !== null) throw this.#fault;
  }

  #notify(): void {
    const wake = this.#wake;
    this.#wake = null;
    wake?.();
  }
}
