import { Fault } from '../../abi/errno.js';

interface Waiter {
  readonly exclusive: boolean;
  readonly enter: () => void;
  readonly refuse: (fault: Fault) => void;
}

/**
 * Lets readers in together and a writer alone, in the order they came, so that no reader sees half of a change that
 * takes two steps. `sharedMax` bounds how many handles the readers can hold at once.
 *
 * open → closing (newcomers and waiters get `cancelled`, those inside finish) → closed.
 */
export class OperationGate {
  readonly #sharedMax: number;
  readonly #waiting: Waiter[] = [];
  readonly #onEmpty: (() => void)[] = [];
  #inside = 0;
  #exclusive = false;
  #closed = false;

  constructor(sharedMax: number) {
    this.#sharedMax = sharedMax;
  }

  shared<T>(action: () => Promise<T>): Promise<T> {
    return this.#run(false, action);
  }

  exclusive<T>(action: () => Promise<T>): Promise<T> {
    return this.#run(true, action);
  }

  /** Settles when the last operation inside has ended; only then may the handles it used be closed. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const waiter of this.#waiting.splice(0)) waiter.refuse(closedFault());
    if (this.#inside > 0) await new Promise<void>((resolve) => this.#onEmpty.push(resolve));
  }

  async #run<T>(exclusive: boolean, action: () => Promise<T>): Promise<T> {
    await this.#enter(exclusive);
    try {
      return await action();
    } finally {
      this.#leave();
    }
  }

  #admits(exclusive: boolean): boolean {
    if (exclusive) return this.#inside === 0;
    return !this.#exclusive && this.#inside < this.#sharedMax;
  }

  #admit(exclusive: boolean): void {
    this.#inside += 1;
    this.#exclusive = exclusive;
  }

  async #enter(exclusive: boolean): Promise<void> {
    if (this.#closed) throw closedFault();
    if (this.#waiting.length === 0 && this.#admits(exclusive)) {
      this.#admit(exclusive);
      return;
    }
    await new Promise<void>((enter, refuse) => this.#waiting.push({ exclusive, enter, refuse }));
  }

  #leave(): void {
    this.#inside -= 1;
    if (this.#inside === 0) this.#exclusive = false;
    for (let next = this.#waiting[0]; next !== undefined && this.#admits(next.exclusive); next = this.#waiting[0]) {
      this.#waiting.shift();
      this.#admit(next.exclusive);
      next.enter();
    }
    if (this.#inside === 0) for (const resolve of this.#onEmpty.splice(0)) resolve();
  }
}

function closedFault(): Fault {
  return new Fault('cancelled', 'the files of this session are being closed');
}
