import { Fault } from '../abi/errno.js';
import { LIMITS } from '../abi/limits.js';
import { isOpenTopic } from './kernel-topics.js';
import type { HeldMemory } from './queue.js';
import { RateWindow } from './rate-window.js';
import type { Subscription } from './subscription.js';
import { checkTopicLength, parsePattern, parseTopic } from './topic.js';
import { TopicIndex } from './topic-index.js';
import { matchAnyAcl } from './topic-match.js';

/** Who may use the bus, and as what. The lists are the ACL: patterns of rule B; an empty one allows nothing. */
export interface EndpointSpec {
  readonly id: string;
  /** Stamped on its messages. */
  readonly sourceId: string;
  readonly publish: readonly string[];
  readonly subscribe: readonly string[];
  /** An uplink: it may publish people's answers and requests on the kernel's own topics (ABI reference section 7). */
  readonly speaksForPeople?: boolean;
}

export interface EndpointCounters {
  readonly id: string;
  /** Messages accepted from it. */
  readonly published: number;
  /** Messages handed to it in envelopes. */
  readonly delivered: number;
  /** Messages too large for any envelope. */
  readonly dropped: number;
  /** Messages evicted from its full queues. */
  readonly lagged: number;
  readonly subscriptions: number;
  readonly queuedMessages: number;
  readonly queuedBytes: number;
}

/** One participant of the bus, with its ACL, its allowance and its handles. */
export class Endpoint {
  readonly id: string;
  readonly sourceId: string;
  readonly subscriptions = new Map<number, Subscription>();
  /** Shared by the queues of its handles. */
  readonly held: HeldMemory = { bytes: 0 };
  readonly counts = { published: 0, delivered: 0, dropped: 0, lagged: 0 };
  readonly #publishAcl = new TopicIndex<true>('acl');
  readonly #subscribeAcl: readonly string[];
  readonly #speaksForPeople: boolean;
  /** Per principal, and here, so that one capsule cannot use up what another needs for the same principal. */
  readonly #rate = new RateWindow();
  #handlesIssued = 0;

  constructor(spec: EndpointSpec) {
    this.id = spec.id;
    this.sourceId = spec.sourceId;
    for (const pattern of spec.publish) this.#publishAcl.add(parsePattern(pattern, 'host', 'publish'), true);
    for (const pattern of spec.subscribe) parsePattern(pattern, 'host', 'subscribe');
    this.#subscribeAcl = spec.subscribe;
    this.#speaksForPeople = spec.speaksForPeople === true;
  }

  /**
   * The checks of a publish up to the ACL, in the order of ABI reference 2.2; returns the topic's segments. Bytes are
   * charged even if a later check fails, or a capsule could keep the kernel busy with refusals for nothing.
   */
  admitPublish(topic: string, payloadBytes: number, principal: string, nowMs: number): string[] {
    checkTopicLength(topic, 'topic');
    if (payloadBytes > LIMITS.ipcPayloadBytesMax) {
      const message = `payload has ${payloadBytes} bytes; expected at most ${LIMITS.ipcPayloadBytesMax}`;
      throw new Fault('too_large', message, { field: 'payload' });
    }
    if (!this.#rate.take(principal, payloadBytes, nowMs)) {
      const message = `more than ${LIMITS.publishBytesPerSecondMax} bytes published in one second`;
      throw new Fault('rate_limited', message, { field: 'payload' });
    }
    const segments = parseTopic(topic, 'guest');
    if (!this.#publishAcl.matches(segments) || !isOpenTopic(topic, this.#speaksForPeople)) {
      const message = `the manifest does not declare publishing on "${topic}"`;
      throw new Fault('capability_missing', message, { field: 'topic' });
    }
    return segments;
  }

  /** The checks of a guest's subscribe; returns the pattern's segments. The ACL is asked about the pattern's text. */
  admitSubscribe(pattern: string): string[] {
    const segments = parsePattern(pattern, 'guest');
    if (!matchAnyAcl(this.#subscribeAcl, pattern)) {
      const message = `the manifest does not declare subscribing to "${pattern}"`;
      throw new Fault('capability_missing', message, { field: 'pattern' });
    }
    return segments;
  }

  /** A new handle: from 1, rising, never used again. */
  addSubscription(subscription: Subscription): number {
    if (this.subscriptions.size >= LIMITS.subscriptionsPerCapsuleMax) {
      throw new Fault('quota_exceeded', `at most ${LIMITS.subscriptionsPerCapsuleMax} subscriptions at a time`);
    }
    this.#handlesIssued += 1;
    this.subscriptions.set(this.#handlesIssued, subscription);
    return this.#handlesIssued;
  }

  subscriptionOf(handle: number): Subscription {
    const subscription = this.subscriptions.get(handle);
    if (subscription === undefined) {
      throw new Fault('bad_handle', `no subscription has handle ${handle}`, { field: 'handle' });
    }
    return subscription;
  }

  /**
   * Evicts until all handles together hold no more than one endpoint may, from the handle that holds the most: each queue is bounded
   * by itself, and a hundred of them are not. Returns how many messages went.
   */
  evictExcess(): number {
    let evicted = 0;
    while (this.held.bytes > LIMITS.endpointHeldBytesMax) {
      const subscriptions = [...this.subscriptions.values()];
      const largest = subscriptions.reduce((most, other) => (other.heldBytes > most.heldBytes ? other : most));
      if (!largest.evictOne()) break;
      evicted += 1;
    }
    return evicted;
  }

  readCounters(): EndpointCounters {
    let queuedMessages = 0;
    let queuedBytes = 0;
    for (const subscription of this.subscriptions.values()) {
      queuedMessages += subscription.queuedMessages;
      queuedBytes += subscription.queuedBytes;
    }
    return { id: this.id, ...this.counts, subscriptions: this.subscriptions.size, queuedMessages, queuedBytes };
  }
}
