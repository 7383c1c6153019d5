import { LIMITS } from '../abi/limits.js';
import { type Envelope, measureInEnvelope } from './envelope.js';
import type { BusMessage } from './message.js';
import { type HeldMemory, SubscriptionQueue } from './queue.js';

/** One handle of one endpoint: what it wants, what waits for it, and who waits for that. */
export class Subscription {
  readonly endpoint: string;
  readonly pattern: readonly string[];
  /** Only messages of this session, or of any when null. */
  readonly session: string | null;
  readonly #queue: SubscriptionQueue;
  readonly #waiters = new Set<() => void>();
  #lagged = 0;

  constructor(endpoint: string, pattern: readonly string[], session: string | null, held: HeldMemory) {
    this.endpoint = endpoint;
    this.pattern = pattern;
    this.session = session;
    this.#queue = new SubscriptionQueue({ held });
  }

  get queuedMessages(): number {
    return this.#queue.length;
  }

  get queuedBytes(): number {
    return this.#queue.bytes;
  }

  /** About what its queue holds of the kernel's memory. */
  get heldBytes(): number {
    return this.#queue.heldBytes;
  }

  /** Gives up one message for the good of the other handles. False when none is queued. */
  evictOne(): boolean {
    if (this.#queue.length === 0) return false;
    this.#queue.evictOne();
    this.#lagged += 1;
    return true;
  }

  /** What is queued is gone, and who waits is woken. */
  end(): void {
    this.#queue.clear();
    this.wakeAll();
  }

  wants(message: BusMessage): boolean {
    return this.session === null || this.session === message.actor.session;
  }

  /** Queues a message and wakes who waits. Returns how many messages were evicted. */
  push(message: BusMessage, reliable: boolean): number {
    const evicted = this.#queue.push(message, reliable);
    this.#lagged += evicted;
    if (this.#waiters.size > 0) this.wakeAll();
    return evicted;
  }

  /** Everything that fits into one envelope, and the losses since the last one. */
  takeEnvelope(): Envelope {
    const { messages, dropped } = this.#queue.drain(LIMITS.envelopeBytesMax, measureInEnvelope);
    const lagged = this.#lagged;
    this.#lagged = 0;
    return { messages, dropped, lagged };
  }

  /** Calls `wake` once, when there is a message or `wakeAll` is called. Returns a function that prevents it. */
  wait(wake: () => void): () => void {
    // An own function per call, so that the same `wake` can wait twice and be cancelled once.
    const waiter = () => wake();
    this.#waiters.add(waiter);
    if (this.#queue.length > 0) this.wakeAll();
    return () => {
      this.#waiters.delete(waiter);
    };
  }

  /**
   * Wakes in a microtask of its own: a waiter runs neither inside the publish that woke it, whose publisher would get
   * its errors, nor before it holds the function that cancels it. Messages of one burst are then drained together.
   */
  wakeAll(): void {
    for (const waiter of this.#waiters) {
      queueMicrotask(() => {
        if (this.#waiters.delete(waiter)) waiter();
      });
    }
  }
}
