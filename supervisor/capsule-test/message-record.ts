import type { Message } from '../../abi/testing/testing-contract.js';
import type { Actor, BusMessage } from '../../bus/message.js';
import { interceptorView } from '../../bus/payload.js';
import { type Matched, type PublishOptions, Router } from '../../bus/router.js';
import { matchSubscription } from '../../bus/topic-match.js';

const SHOWN_MAX = 20;

interface Waiter {
  readonly wants: (message: Message) => boolean;
  readonly settle: (message: Message) => void;
}

/** Everything that was on the bus, and who waits for what comes next. */
export class MessageRecord {
  readonly all: Message[] = [];
  readonly #taken = new Set<number>();
  readonly #waiters = new Set<Waiter>();
  readonly #listeners: { readonly pattern: string; readonly hear: (message: Message) => void }[] = [];

  add(message: BusMessage, from: Message['from']): void {
    const { topic, payload, seq } = message;
    const row: Message = { topic, payload: interceptorView(payload), tagged: payload, from, seq };
    this.all.push(row);
    for (const waiter of [...this.#waiters]) {
      if (!this.#take(row, waiter.wants)) continue;
      this.#waiters.delete(waiter);
      waiter.settle(row);
      break;
    }
    for (const { pattern, hear } of [...this.#listeners]) if (matchSubscription(pattern, topic)) hear(row);
  }

  /** The first message that fits and was given to nobody yet, now or when it comes. Rejects after `timeoutMs`. */
  next(what: string, wants: (message: Message) => boolean, timeoutMs: number, why: () => string): Promise<Message> {
    const there = this.all.find((message) => this.#take(message, wants));
    if (there !== undefined) return Promise.resolve(there);
    // Made here, where the test is on the stack.
    const late = new Error(what);
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiters.delete(waiter);
        late.message = `${what} did not come within ${timeoutMs} ms\n${this.#describe()}${why()}`;
        late.stack = `Error: ${late.message}\n${late.stack?.split('\n').slice(1).join('\n')}`;
        reject(late);
      }, timeoutMs);
      const settle = (message: Message) => {
        clearTimeout(timer);
        resolve(message);
      };
      const waiter: Waiter = { wants, settle };
      this.#waiters.add(waiter);
    });
  }

  listen(pattern: string, hear: (message: Message) => void): () => void {
    const listener = { pattern, hear };
    this.#listeners.push(listener);
    return () => {
      const at = this.#listeners.indexOf(listener);
      if (at >= 0) this.#listeners.splice(at, 1);
    };
  }

  #take(message: Message, wants: (message: Message) => boolean): boolean {
    if (this.#taken.has(message.seq) || !wants(message)) return false;
    this.#taken.add(message.seq);
    return true;
  }

  #describe(): string {
    if (this.all.length === 0) return 'nothing was on the bus';
    const lines = this.all.map(({ from, topic }) => `  ${from}: ${topic}`);
    const shown = lines.filter((line, index) => line !== lines[index - 1]).slice(-SHOWN_MAX);
    return `on the bus so far:\n${shown.join('\n')}`;
  }
}

/** A router whose messages are written down as they pass. */
export class ObservedRouter extends Router {
  readonly #record: MessageRecord;
  readonly #capsule: string;
  #testSpeaks = false;

  constructor(record: MessageRecord, capsule: string) {
    super();
    this.#record = record;
    this.#capsule = capsule;
  }

  /** Whatever is published inside counts as said by the test. */
  speakAsTest<T>(speak: () => T): T {
    this.#testSpeaks = true;
    try {
      return speak();
    } finally {
      this.#testSpeaks = false;
    }
  }

  override publish(
    from: string | null,
    topic: string,
    payload: unknown,
    payloadBytes: number,
    actor: Actor,
    options: PublishOptions = {},
  ): { message: BusMessage; interceptors: Matched[] } {
    const speaker = from === this.#capsule ? 'capsule' : this.#testSpeaks ? 'test' : 'kernel';
    this.#testSpeaks = false;
    const published = super.publish(from, topic, payload, payloadBytes, actor, options);
    this.#record.add(published.message, speaker);
    return published;
  }
}
