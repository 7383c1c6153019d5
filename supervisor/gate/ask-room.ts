import { Fault } from '../../abi/errno.js';
import { LIMITS } from '../../abi/limits.js';
import { AskRate } from './ask-rate.js';

type Owner = { readonly principal: string; readonly capsule: string };

/** Whether one more question may be put to people: how many are open, and how many an owner asked in its present minute. */
export class AskRoom {
  readonly #rate: AskRate;
  /** Questions on their way to the disk, so that many at once cannot pass the bound together. */
  readonly #coming = new Map<string, number>();

  constructor(now: () => number) {
    this.#rate = new AskRate(LIMITS.approvalAsksPerMinuteMax, now);
  }

  /** Counts nothing. @throws Fault `rate_limited` */
  check(owner: Owner, open: Iterable<Owner>): void {
    if (this.#isFull(keyOf(owner), open) || !this.#rate.hasRoom(keyOf(owner))) throw tooMany();
  }

  /** Counts one, which is on its way until `leave`. @throws Fault `rate_limited` */
  enter(owner: Owner, open: Iterable<Owner>): void {
    const key = keyOf(owner);
    if (this.#isFull(key, open) || !this.#rate.take(key)) throw tooMany();
    this.#coming.set(key, (this.#coming.get(key) ?? 0) + 1);
  }

  leave(owner: Owner): void {
    const key = keyOf(owner);
    const left = (this.#coming.get(key) ?? 1) - 1;
    if (left > 0) this.#coming.set(key, left);
    else this.#coming.delete(key);
  }

  #isFull(key: string, open: Iterable<Owner>): boolean {
    let mine = this.#coming.get(key) ?? 0;
    let all = [...this.#coming.values()].reduce((sum, count) => sum + count, 0);
    for (const one of open) {
      all++;
      if (keyOf(one) === key) mine++;
    }
    return mine >= LIMITS.approvalsOpenPerCapsuleMax || all >= LIMITS.approvalsOpenMax;
  }
}

function keyOf({ principal, capsule }: Owner): string {
  return `${principal}\0${capsule}`;
}

function tooMany(): Fault {
  return new Fault('rate_limited', 'too many questions are waiting for an answer', { field: 'approval' });
}
