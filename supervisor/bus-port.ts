import { randomUUID } from 'node:crypto';
import { asFault, Fault } from '../abi/errno.js';
import { encodeEnvelope } from '../bus/envelope.js';
import { isOpenTopic } from '../bus/kernel-topics.js';
import type { Actor } from '../bus/message.js';
import type { Router } from '../bus/router.js';
import { matchAcl, matchSubscription } from '../bus/topic-match.js';
import type { Delivery } from './delivery.js';
import { HookCalls } from './hook-calls.js';
import { findInbox, type InboxRow } from './kernel-inbox.js';
import type { CapsuleProcess } from './proc/capsule-process.js';
import type { CallContext } from './syscalls/handler.js';
import type { BusService, HookService } from './syscalls/ipc.js';

/** Topics of which a full queue loses messages first: parts of a stream, after which the whole comes anyway. */
const LOSSY_TOPICS = ['agent.v1.stream.*', 'llm.v1.stream.*', 'astrid.v1.watchdog.*'];

export interface BusParts {
  readonly router: Router;
  readonly delivery: Delivery;
  readonly processOf: (capsule: string) => CapsuleProcess | undefined;
  readonly onFault: (fault: Fault) => void;
  /** What only the kernel hears. */
  readonly inbox: () => readonly InboxRow[];
}

const isReliable = (topic: string) => !LOSSY_TOPICS.some((pattern) => matchSubscription(pattern, topic));

/** The bus calls of capsules, and the kernel's own messages, over the router and the delivery to interceptors. */
export class BusPort implements BusService, HookService {
  readonly #parts: BusParts;
  readonly #hooks: HookCalls;

  constructor(parts: BusParts) {
    this.#parts = parts;
    this.#hooks = new HookCalls(parts);
  }

  publish(capsule: string, topic: string, payload: Buffer, { actor }: CallContext): undefined | Promise<void> {
    return this.#publish(capsule, topic, payload, payload.length, actor);
  }

  /**
   * A message of the kernel (source nil): no access list, no rate. With the bytes of its payload, this is neither measured nor refused
   * for its depth: a guest's payload that was accepted, and that the kernel wraps once more, must get through.
   */
  publishKernel(topic: string, payload: unknown, actor: Actor, payloadBytes = 0): void {
    try {
      void this.#publish(null, topic, payload, payloadBytes, actor);
    } catch (error) {
      // The kernel's own message could not be sent (a guest's payload inside it may be the reason): it must not end the kernel.
      this.#parts.onFault(asFault(error));
    }
  }

  /** The kernel's message about one instance, or handed over from it: stamped with that instance, without its access list. */
  publishAs(sourceId: string, topic: string, payload: unknown, actor: Actor): undefined | Promise<void> {
    try {
      return this.#publish(null, topic, payload, 0, actor, sourceId);
    } catch (error) {
      this.#parts.onFault(asFault(error));
      return undefined;
    }
  }

  /** What an uplink says for a person: attributed as claimed. */
  publishFor(endpoint: string, topic: string, payload: unknown, actor: Actor): undefined | Promise<void> {
    return this.#publish(endpoint, topic, payload, 0, actor);
  }

  /** The kernel hears a topic: each message in order, with who it acts for. */
  listen(topic: string, onMessage: (payload: unknown, actor: Actor) => void): void {
    const { router } = this.#parts;
    const id = `kernel-${topic}`;
    router.addEndpoint({ id, sourceId: randomUUID(), publish: [], subscribe: [] });
    const handle = router.subscribe(id, topic, { checkAcl: false });
    const drain = () => {
      for (const { payload, actor } of router.poll(id, handle).messages) onMessage(payload, actor);
      router.onReady(id, handle, () => setImmediate(drain));
    };
    drain();
  }

  mayPublish(capsule: string, topic: string): boolean {
    const manifest = this.#parts.processOf(capsule)?.spec.manifest;
    if (manifest === undefined) return false;
    if (!isOpenTopic(topic, manifest.capabilities.uplink === true)) return false;
    return manifest.publish.some((pattern) => matchAcl(pattern, topic));
  }

  maySubscribe(capsule: string, pattern: string): boolean {
    const patterns = this.#parts.processOf(capsule)?.spec.manifest.subscribe ?? [];
    return patterns.some((entry) => matchAcl(entry, pattern));
  }

  subscribe(capsule: string, pattern: string): number {
    const handle = this.#parts.router.subscribe(capsule, pattern, { checkAcl: true });
    this.#parts.processOf(capsule)?.patterns.set(handle, pattern);
    return handle;
  }

  unsubscribe(capsule: string, handle: number): void {
    const automatic = this.#parts.processOf(capsule)?.automaticHandles ?? 0;
    if (handle <= automatic)
      throw new Fault('bad_handle', 'an automatic handle cannot be given back', { field: 'handle' });
    this.#parts.router.unsubscribe(capsule, handle);
    this.#parts.processOf(capsule)?.patterns.delete(handle);
  }

  patternOf(capsule: string, handle: number): string {
    return this.#parts.processOf(capsule)?.patterns.get(handle) ?? `handle ${handle}`;
  }

  poll(capsule: string, handle: number): Buffer {
    return encodeEnvelope(this.#parts.router.poll(capsule, handle));
  }

  onReady(capsule: string, handle: number, wake: () => void): () => void {
    return this.#parts.router.onReady(capsule, handle, wake);
  }

  /**
   * Discovery is open to all, as in the original; any other hook makes a capsule act, and takes the same leave as a message.
   * `trigger` sees to it that what is open is discovery: `a.v1.*` fits `a.v1.describe`, too, and expects something else.
   */
  mayTrigger(capsule: string, topic: string): boolean {
    return topic.endsWith('.describe') ? isOpenTopic(topic, false) : this.mayPublish(capsule, topic);
  }

  trigger(topic: string, payload: unknown, context: CallContext): Promise<Buffer> {
    return this.#hooks.trigger(topic, payload, context, this.mayPublish(context.endpoint, topic));
  }

  #publish(
    from: string | null,
    topic: string,
    payload: unknown,
    bytes: number,
    actor: Actor,
    sourceId?: string,
  ): undefined | Promise<void> {
    const { router, delivery } = this.#parts;
    const inbox = findInbox(this.#parts.inbox(), topic);
    const options = { reliable: isReliable(topic), interceptorsOnly: inbox !== undefined };
    const sent = sourceId === undefined ? options : { ...options, sourceId };
    const { message, interceptors } = router.publish(from, topic, payload, bytes, actor, sent);
    if (inbox !== undefined) {
      inbox.receive(from, message);
      return undefined;
    }
    return delivery.deliver(message, interceptors);
  }
}
