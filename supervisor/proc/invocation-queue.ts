import type { ProcessState } from '../../abi/control.js';
import { Fault } from '../../abi/errno.js';
import type { Invocation, InvocationOutcome } from './invocation.js';

export interface QueuedInvocation {
  readonly invocation: Invocation;
  readonly settle: (outcome: InvocationOutcome) => void;
}

/**
 * Invocations that wait for one capsule: first in, first out within a principal, round robin between principals, so that one
 * principal's flood does not keep the others waiting.
 */
export class InvocationQueue {
  readonly #lanes = new Map<string, QueuedInvocation[]>();
  readonly #spaceWaiters: (() => void)[] = [];
  readonly #countMax: number;
  readonly #bytesMax: number;
  #count = 0;
  #bytes = 0;

  constructor(countMax: number, bytesMax: number) {
    this.#countMax = countMax;
    this.#bytesMax = bytesMax;
  }

  get size(): number {
    return this.#count;
  }

  get isFull(): boolean {
    return this.#count >= this.#countMax || this.#bytes >= this.#bytesMax;
  }

  push(entry: QueuedInvocation): void {
    const { principal } = entry.invocation.actor;
    const lane = this.#lanes.get(principal);
    if (lane === undefined) this.#lanes.set(principal, [entry]);
    else lane.push(entry);
    this.#count++;
    this.#bytes += entry.invocation.input.length;
  }

  /** The next invocation; its principal's lane goes to the end of the round. */
  shift(): QueuedInvocation | undefined {
    const [principal, lane] = this.#lanes.entries().next().value ?? [];
    const entry = lane?.shift();
    if (principal === undefined || lane === undefined || entry === undefined) return undefined;
    this.#lanes.delete(principal);
    if (lane.length > 0) this.#lanes.set(principal, lane);
    this.#count--;
    this.#bytes -= entry.invocation.input.length;
    this.#spaceWaiters.shift()?.();
    return entry;
  }

  /** True when there may be room again, false when the time is up first. The caller looks before it pushes. */
  waitForSpace(waitMs: number): Promise<boolean> {
    return new Promise((resolve) => {
      const wake = () => {
        clearTimeout(timer);
        resolve(true);
      };
      const timer = setTimeout(() => {
        this.#spaceWaiters.splice(this.#spaceWaiters.indexOf(wake), 1);
        resolve(false);
      }, waitMs);
      this.#spaceWaiters.push(wake);
    });
  }

  /** Takes everything out and answers it, for a capsule that will not run again. */
  failAll(fault: Fault): void {
    const all: QueuedInvocation[] = [];
    for (let entry = this.shift(); entry !== undefined; entry = this.shift()) all.push(entry);
    for (const { settle } of all) settle({ kind: 'failed', fault });
  }
}

/** Why a capsule in this state, with this queue, takes no invocation; null when it does. */
export function refusalOf(state: ProcessState, queue: InvocationQueue): Fault | null {
  if (state === 'failed' || state === 'stopped' || state === 'stopping') {
    return new Fault('not_ready', `the capsule is ${state}`);
  }
  return queue.isFull ? new Fault('rate_limited', `${queue.size} invocations are waiting already`) : null;
}
