import type { BusMessage } from '../bus/message.js';

/** A message on its way to the capsules that intercept it. */
export class Errand {
  readonly message: BusMessage;
  readonly #announced = new Set<string>();
  readonly #waiters: (() => void)[] = [];
  #isParked = false;

  constructor(message: BusMessage) {
    this.message = message;
  }

  /** Whether a failure of this capsule is still to be announced: once for one message, however many interceptors it has. */
  takeAnnouncement(capsule: string): boolean {
    if (this.#announced.has(capsule)) return false;
    this.#announced.add(capsule);
    return true;
  }

  /** It waits for a capsule that took it, or is over: what it holds from here on is counted in that capsule's queue. */
  park(): void {
    this.#isParked = true;
    for (const waiter of this.#waiters.splice(0)) waiter();
  }

  /**
   * What its publisher waits for: until then the errand goes from one refusal to the next, a turn of the loop each, and a publisher
   * that went on could begin them faster than they end. Undefined when there is nothing to wait for.
   */
  whenParked(): undefined | Promise<void> {
    return this.#isParked ? undefined : new Promise((resolve) => this.#waiters.push(resolve));
  }
}
