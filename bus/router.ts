import { Fault } from '../abi/errno.js';
import { LIMITS } from '../abi/limits.js';
import { AutomaticHandles } from './automatic-handles.js';
import { Endpoint, type EndpointCounters, type EndpointSpec } from './endpoint.js';
import type { Envelope } from './envelope.js';
import { type ChainStep, orderChain } from './interceptor-chain.js';
import { type Actor, type BusMessage, NIL_UUID } from './message.js';
import { isPayload, normalisePayload, type Payload } from './payload.js';
import { checkPayloadDepth, parseWeighed, type Weighed, weighPayload } from './payload-json.js';
import { Subscription } from './subscription.js';
import { parsePattern, parseTopic } from './topic.js';
import { TopicIndex } from './topic-index.js';

/** Losses of messages on this topic are not reported: the report would be the next loss. */
export const LAG_TOPIC = 'astrid.v1.event_bus.lagged';

/** An interceptor whose event matched, and where its manifest was registered. */
export interface Matched extends ChainStep {
  readonly event: string;
  /**
   * An automatic handle of a run loop, which nobody calls: hands it the message, with the payload that the steps before made of it
   * (null: they left it). Throws Fault when that is no payload.
   */
  readonly hand?: (replaced: Buffer | null) => void;
}

export interface InterceptorSpec {
  readonly event: string;
  readonly action: string;
  readonly priority?: number;
  readonly fail?: 'open' | 'closed';
}

export interface PublishOptions {
  /**
   * Evicted from full queues after everything else of its principal: the last event of a turn, an answer someone waits
   * for.
   */
  readonly reliable?: boolean;
  /** A lifecycle event, which subscriptions do not see (ABI reference 4.8). */
  readonly interceptorsOnly?: boolean;
  /** The instance a message of the kernel is about, stamped in place of the nil UUID (`client.v1.connected`). */
  readonly sourceId?: string;
}

export interface RouterOptions {
  /** Milliseconds since the Unix epoch. */
  readonly now?: () => number;
  /**
   * Told, after the publish that caused it, that an endpoint lost messages. The host announces it on LAG_TOPIC, at
   * most every ten seconds (ABI reference 4.6).
   */
  readonly onLag?: (endpointId: string, laggedCount: number) => void;
}

/**
 * The bus: who may say what, who hears it, in what order, and what is lost (design section 4). It knows endpoints by
 * their ids only: no processes, no timers, no sockets. Every call is synchronous and takes effect at once.
 */
export class Router {
  readonly #now: () => number;
  readonly #onLag: ((endpointId: string, laggedCount: number) => void) | undefined;
  readonly #endpoints = new Map<string, Endpoint>();
  readonly #subscriptions = new TopicIndex<Subscription>('subscription');
  readonly #interceptors = new TopicIndex<Matched>('acl');
  readonly #automatic = new AutomaticHandles();
  readonly #interceptorsOf = new Map<string, Matched[]>();
  /** Ranks interceptors of equal priority by registration, which the index does not keep. */
  readonly #registration = new Map<Matched, number>();
  readonly #lagToReport = new Map<string, number>();
  #registrations = 0;
  #seq = 0;
  #stampedAt = Number.NaN;
  #stamp = '';

  constructor(options: RouterOptions = {}) {
    this.#now = options.now ?? Date.now;
    this.#onLag = options.onLag;
  }

  /** Throws Fault `already_exists`, or `invalid_argument` for a malformed ACL pattern. */
  addEndpoint(spec: EndpointSpec): void {
    if (this.#endpoints.has(spec.id))
      throw new Fault('already_exists', `endpoint "${spec.id}" exists`, { field: 'id' });
    this.#endpoints.set(spec.id, new Endpoint(spec));
  }

  /**
   * Forgets an endpoint with all it had. Its waiters are woken, and find `cancelled` when they poll. Unknown ids are
   * ignored.
   */
  removeEndpoint(id: string): void {
    const endpoint = this.#endpoints.get(id);
    if (endpoint === undefined) return;
    this.#endpoints.delete(id);
    for (const subscription of endpoint.subscriptions.values()) this.#endSubscription(subscription);
    for (const interceptor of this.#interceptorsOf.get(id) ?? []) {
      this.#interceptors.remove(interceptor.event.split('.'), interceptor);
      this.#registration.delete(interceptor);
    }
    this.#interceptorsOf.delete(id);
    this.#lagToReport.delete(id);
  }

  /**
   * Publishes for an endpoint, or for the kernel when `from` is null, which has no ACL, no allowance and 20 segments.
   * An endpoint's `payload` is its JSON text as bytes, parsed here after every other check, or a decoded value, and is
   * normalised; the kernel's is taken as it is if it has a `type`, and wrapped as `custom` if not.
   *
   * Throws, in the order of ABI reference 2.2, Fault `too_large`, `rate_limited`, `invalid_argument`,
   * `capability_missing`, `invalid_argument` (payload), or `cancelled` for an endpoint that is gone. The interceptors
   * come in chain order.
   */
  publish(
    from: string | null,
    topic: string,
    payload: unknown,
    payloadBytes: number,
    actor: Actor,
    options: PublishOptions = {},
  ): { message: BusMessage; interceptors: Matched[] } {
    const nowMs = this.#now();
    const endpoint = from === null ? null : this.#endpointOf(from);
    const bytes = measurePayload(payload, payloadBytes);
    const segments = endpoint?.admitPublish(topic, bytes, actor.principal, nowMs) ?? parseTopic(topic, 'host');
    const { value, heapBytes } = weigh(payload, bytes, endpoint !== null);
    const message: BusMessage = {
      topic,
      payload: endpoint === null ? toKernelPayload(value) : normalisePayload(value),
      payloadBytes: bytes,
      heapBytes,
      sourceId: endpoint?.sourceId ?? options.sourceId ?? NIL_UUID,
      timestamp: this.#timestampOf(nowMs),
      seq: ++this.#seq,
      actor,
    };
    if (endpoint !== null) endpoint.counts.published += 1;
    const interceptors = this.#matchInterceptors(segments);
    if (options.interceptorsOnly === true) return { message, interceptors };
    const push = (to: Subscription, sent: BusMessage) => this.#push(to, sent, options.reliable === true);
    for (const subscription of this.#subscriptions.match(segments)) push(subscription, message);
    return { message, interceptors: this.#automatic.join(interceptors, segments, message, push) };
  }

  /**
   * A handle for `pattern`: from 1 per endpoint, at most 128 alive. With `checkAcl` the rules for guests hold (8
   * segments, `*` last, subscribe ACL); without, those for the host. `session` limits it to the messages of one
   * session. Throws Fault `too_large`, `invalid_argument`, `capability_missing`, `quota_exceeded`, `cancelled`.
   */
  subscribe(endpointId: string, pattern: string, options: { checkAcl: boolean; session?: string | null }): number {
    const endpoint = this.#endpointOf(endpointId);
    const segments = options.checkAcl ? endpoint.admitSubscribe(pattern) : parsePattern(pattern, 'host');
    const subscription = new Subscription(endpointId, segments, options.session ?? null, endpoint.held);
    const handle = endpoint.addSubscription(subscription);
    this.#subscriptions.add(segments, subscription);
    return handle;
  }

  /** Ends a handle; what it had queued is gone. Throws Fault `bad_handle` or `cancelled`. */
  unsubscribe(endpointId: string, handle: number): void {
    const endpoint = this.#endpointOf(endpointId);
    const subscription = endpoint.subscriptionOf(handle);
    endpoint.subscriptions.delete(handle);
    this.#endSubscription(subscription);
  }

  /** What is queued now, at most 10 MiB of it; the rest stays. Throws Fault `bad_handle`, or `cancelled`. */
  poll(endpointId: string, handle: number): Envelope {
    const endpoint = this.#endpointOf(endpointId);
    const envelope = endpoint.subscriptionOf(handle).takeEnvelope();
    endpoint.counts.delivered += envelope.messages.length;
    endpoint.counts.dropped += envelope.dropped;
    return envelope;
  }

  /**
   * Calls `wake` once, never before this call has returned: when a message is there, or when the handle or its
   * endpoint ends, which `poll` then tells. The function it returns prevents the call. Throws Fault `bad_handle` or
   * `cancelled`.
   */
  onReady(endpointId: string, handle: number, wake: () => void): () => void {
    return this.#endpointOf(endpointId).subscriptionOf(handle).wait(wake);
  }

  /** Registers an interceptor until its endpoint is removed. Throws Fault `invalid_argument` or `cancelled`. */
  addInterceptor(endpointId: string, spec: InterceptorSpec): void {
    this.#endpointOf(endpointId);
    const segments = parsePattern(spec.event, 'host', 'event');
    const interceptor: Matched = {
      endpoint: endpointId,
      event: spec.event,
      action: spec.action,
      priority: spec.priority ?? LIMITS.interceptorPriorityDefault,
      fail: spec.fail ?? 'open',
    };
    this.#interceptors.add(segments, interceptor);
    this.#registration.set(interceptor, this.#registrations++);
    const own = this.#interceptorsOf.get(endpointId);
    if (own === undefined) this.#interceptorsOf.set(endpointId, [interceptor]);
    else own.push(interceptor);
  }

  /**
   * An interceptor of a run loop: a handle (rule A, ABI reference 3.6) that gets a message at its place in the chain, and not at once
   * like a subscription. Throws Fault `invalid_argument`, `quota_exceeded` or `cancelled`.
   */
  addAutomaticHandle(endpointId: string, spec: InterceptorSpec): number {
    const endpoint = this.#endpointOf(endpointId);
    const segments = parsePattern(spec.event, 'host', 'event');
    const subscription = new Subscription(endpointId, segments, null, endpoint.held);
    const handle = endpoint.addSubscription(subscription);
    this.#automatic.add(subscription, spec);
    return handle;
  }

  /** The interceptors that match a topic, in chain order, without publishing: the targets of a hook. */
  matchInterceptors(topic: string): Matched[] {
    return this.#matchInterceptors(parseTopic(topic, 'host'));
  }

  /** A copy of the counters of one endpoint. Throws Fault `cancelled`. */
  countersOf(endpointId: string): EndpointCounters {
    return this.#endpointOf(endpointId).readCounters();
  }

  /** A copy of the counters of all endpoints. */
  snapshot(): EndpointCounters[] {
    return [...this.#endpoints.values()].map((endpoint) => endpoint.readCounters());
  }

  #endpointOf(id: string): Endpoint {
    const endpoint = this.#endpoints.get(id);
    if (endpoint === undefined) throw new Fault('cancelled', 'this endpoint is no longer on the bus');
    return endpoint;
  }

  #push(subscription: Subscription, message: BusMessage, reliable: boolean): void {
    if (!subscription.wants(message)) return;
    const evicted = subscription.push(message, reliable) + this.#evictExcess(subscription.endpoint);
    if (evicted > 0) this.#countLag(subscription.endpoint, evicted, message.topic);
  }

  #evictExcess(endpointId: string): number {
    return this.#endpoints.get(endpointId)?.evictExcess() ?? 0;
  }

  #matchInterceptors(segments: readonly string[]): Matched[] {
    const found = this.#interceptors.match(segments);
    if (found.length < 2) return found;
    const rank = (interceptor: Matched) => this.#registration.get(interceptor) ?? 0;
    return orderChain(found.sort((a, b) => rank(a) - rank(b)));
  }

  #endSubscription(subscription: Subscription): void {
    this.#subscriptions.remove(subscription.pattern, subscription);
    this.#automatic.remove(subscription);
    subscription.end();
  }

  #countLag(endpointId: string, evicted: number, topic: string): void {
    const endpoint = this.#endpoints.get(endpointId);
    if (endpoint !== undefined) endpoint.counts.lagged += evicted;
    if (this.#onLag === undefined || topic === LAG_TOPIC) return;
    // Told later and summed up: the listener publishes, and must not do so in the middle of a delivery.
    if (this.#lagToReport.size === 0) queueMicrotask(() => this.#reportLag());
    this.#lagToReport.set(endpointId, (this.#lagToReport.get(endpointId) ?? 0) + evicted);
  }

  #reportLag(): void {
    const report = [...this.#lagToReport];
    this.#lagToReport.clear();
    for (const [endpointId, laggedCount] of report) this.#onLag?.(endpointId, laggedCount);
  }

  /** RFC 3339 with `Z`. Formatting costs more than routing, and many messages share a millisecond. */
  #timestampOf(nowMs: number): string {
    if (nowMs !== this.#stampedAt) {
      this.#stampedAt = nowMs;
      this.#stamp = new Date(nowMs).toISOString();
    }
    return this.#stamp;
  }
}

/** Queues and envelopes rely on this number, so a caller that states none, or nonsense, is not taken at its word. */
function measurePayload(payload: unknown, statedBytes: number): number {
  if (payload instanceof Uint8Array) return payload.length;
  if (Number.isSafeInteger(statedBytes) && statedBytes > 0) return statedBytes;
  checkPayloadDepth(payload); // or the next line could overflow the stack
  return Buffer.byteLength(JSON.stringify(payload) ?? '');
}

function weigh(payload: unknown, bytes: number, isGuest: boolean): Weighed {
  if (payload instanceof Uint8Array) return parseWeighed(payload);
  if (isGuest) checkPayloadDepth(payload);
  return { value: payload, heapBytes: weighPayload(payload, bytes) };
}

function toKernelPayload(value: unknown): Payload {
  return isPayload(value) ? value : { type: 'custom', data: value };
}
