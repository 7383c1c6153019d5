import { LIMITS } from '../abi/limits.js';
import { orderChain } from './interceptor-chain.js';
import type { BusMessage } from './message.js';
import { replacePayload } from './replaced-payload.js';
import type { InterceptorSpec, Matched } from './router.js';
import type { Subscription } from './subscription.js';
import { TopicIndex } from './topic-index.js';

/**
 * Interceptors of run loops. Nobody calls them: each is a subscription (rule A), whose messages come at its place in the chain. As a
 * subscription like any other it would get what a guard before it denies.
 */
export class AutomaticHandles {
  readonly #index = new TopicIndex<Subscription>('subscription');
  /** In the order of registration, which decides between equal priorities. */
  readonly #specs = new Map<Subscription, InterceptorSpec>();

  add(subscription: Subscription, spec: InterceptorSpec): void {
    this.#index.add(subscription.pattern, subscription);
    this.#specs.set(subscription, spec);
  }

  /** Does nothing for a subscription that is not one of these. */
  remove(subscription: Subscription): void {
    if (this.#specs.delete(subscription)) this.#index.remove(subscription.pattern, subscription);
  }

  /**
   * The chain with the handles that match in it, behind all of a lower number and behind those of the same that must not be skipped: a
   * guard. Other interceptors of the same number do not hold a run loop up, one may even wait for what it says. Handles at the head of
   * the chain get the message now, since nobody stands before them, and are not in the answer.
   */
  join(
    chain: Matched[],
    topic: readonly string[],
    message: BusMessage,
    push: (to: Subscription, message: BusMessage) => void,
  ): Matched[] {
    if (this.#specs.size === 0) return chain;
    const found = this.#index.match(topic);
    if (found.length === 0) return chain;
    const joined = [...chain];
    for (const step of orderChain(found.map((to) => this.#step(to, message, push)))) {
      joined.splice(joined.findLastIndex((other) => standsBefore(other, step)) + 1, 0, step);
    }
    const firstCalled = joined.findIndex(({ hand }) => hand === undefined);
    const atOnce = firstCalled < 0 ? joined : joined.slice(0, firstCalled);
    for (const { hand } of atOnce) hand?.(null);
    return joined.slice(atOnce.length);
  }

  #step(to: Subscription, message: BusMessage, push: (to: Subscription, message: BusMessage) => void): Matched {
    const { event, action, priority = LIMITS.interceptorPriorityDefault } = this.#specs.get(to) as InterceptorSpec;
    const hand = (replaced: Buffer | null) => {
      // Its capsule may have ended while those before it were at work.
      if (this.#specs.has(to)) push(to, replaced === null ? message : replacePayload(message, replaced));
    };
    return { endpoint: to.endpoint, event, action, priority, fail: 'open', hand };
  }
}

function standsBefore(other: Matched, handle: Matched): boolean {
  if (other.priority !== handle.priority) return other.priority < handle.priority;
  return other.hand !== undefined || other.fail === 'closed';
}
