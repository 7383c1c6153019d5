import { randomUUID } from 'node:crypto';
import { asFault, Fault } from '../../abi/errno.js';
import { LIMITS } from '../../abi/limits.js';
import type { CapsuleManifest } from '../../abi/manifest.js';
import type { Actor } from '../../bus/message.js';
import { RateWindow } from '../../bus/rate-window.js';
import { conversationOf } from './conversation-id.js';

/** What `register` is given, already normalised. */
export interface UplinkFields {
  readonly name: string;
  readonly platform: string;
  readonly profile: string;
}

/** The instance that calls, as far as this service needs it. */
export interface UplinkCaller {
  readonly sourceId: string;
  readonly actor: Actor;
  readonly manifest: CapsuleManifest;
}

export interface RegistryOptions {
  /**
   * The principal of the person behind an account, in the address book of the principal the capsule acts for; null for somebody
   * nobody linked.
   */
  readonly principalOf: (owner: string, platform: string, platformUserId: string) => string | null;
  /** Publishes with that instance as source. A promise is the queue's backpressure. */
  readonly publish: (sourceId: string, topic: string, payload: object, actor: Actor) => undefined | Promise<void>;
  readonly onFault: (fault: Fault) => void;
  readonly now?: () => number;
}

interface Uplink extends UplinkFields {
  readonly id: string;
}

interface Said {
  readonly uplink: Uplink;
  readonly owner: string;
  readonly platformUserId: string;
  readonly content: string;
  readonly bytes: number;
}

/** What one instance registered, and what people said through it that is not on the bus yet. */
interface Holder {
  readonly sourceId: string;
  readonly uplinks: Map<string, Uplink>;
  readonly queues: Map<string, Said[]>;
  readonly rate: RateWindow;
  queuedBytes: number;
  draining: boolean;
}

const PROMPT_TOPIC = 'user.v1.prompt';
const UNLINKED_TOPIC = 'astrid.v1.uplink.unlinked';

/**
 * Front ends that capsules bring in from other platforms, and the reader of what people say there. The original put such messages in
 * a queue that nobody read. Here a person whose account is linked speaks for their own principal, as `claimed` and in a conversation
 * that the kernel names; a stranger speaks for nobody: their words go out on a topic of the kernel and start no turn.
 */
export class UplinkRegistry {
  readonly #options: RegistryOptions;
  readonly #holders = new Map<string, Holder>();

  constructor(options: RegistryOptions) {
    this.#options = options;
  }

  /** Returns the uplink's UUID. Throws Fault quota_exceeded, already_exists. */
  register(fields: UplinkFields, { sourceId }: UplinkCaller): string {
    const holder = this.#holders.get(sourceId) ?? makeHolder(sourceId);
    if (holder.uplinks.size >= LIMITS.uplinksPerCapsuleMax) {
      throw new Fault('quota_exceeded', `at most ${LIMITS.uplinksPerCapsuleMax} uplinks per capsule`);
    }
    const isSame = (other: Uplink) => other.name === fields.name && other.platform === fields.platform;
    if ([...holder.uplinks.values()].some(isSame)) {
      throw new Fault('already_exists', 'an uplink of this name and platform is registered', { field: 'name' });
    }
    const uplink = { id: randomUUID(), ...fields };
    holder.uplinks.set(uplink.id, uplink);
    this.#holders.set(sourceId, holder);
    return uplink.id;
  }

  /** False: the queue is full, or more came in one second than may, and this message is lost. Throws Fault bad_handle, not_supported. */
  send(uplinkId: string, platformUserId: string, content: string, caller: UplinkCaller): boolean {
    const holder = this.#holders.get(caller.sourceId);
    const uplink = holder?.uplinks.get(uplinkId);
    if (holder === undefined || uplink === undefined) {
      throw new Fault('bad_handle', `uplink ${uplinkId} not registered by capsule`, { field: 'uplink' });
    }
    if (caller.manifest.uplinks.length === 0) {
      throw new Fault('not_supported', 'the capsule has no inbound channel: its Capsule.toml has no [[uplink]]', {
        field: 'uplink',
      });
    }
    const bytes = Buffer.byteLength(content) + Buffer.byteLength(platformUserId);
    const queue = holder.queues.get(uplinkId) ?? [];
    if (queue.length >= LIMITS.uplinkQueueMax) return false;
    if (holder.queuedBytes + bytes > LIMITS.uplinkQueueBytesMax) return false;
    if (!holder.rate.take('', bytes, (this.#options.now ?? Date.now)())) return false;
    queue.push({ uplink, owner: caller.actor.principal, platformUserId, content, bytes });
    holder.queues.set(uplinkId, queue);
    holder.queuedBytes += bytes;
    if (!holder.draining) void this.#drain(holder);
    return true;
  }

  /** The instance is gone, with its uplinks. What people had said already still goes out. */
  release(sourceId: string): void {
    this.#holders.delete(sourceId);
  }

  /** One message after the other, at the pace of those who take them: one of each uplink in turn. */
  async #drain(holder: Holder): Promise<void> {
    holder.draining = true;
    while (holder.queues.size > 0) {
      for (const [id, queue] of [...holder.queues]) {
        const said = queue.shift();
        if (queue.length === 0) holder.queues.delete(id);
        if (said === undefined) continue;
        // One that cannot be delivered must not hold up what others said.
        await this.#deliver(holder.sourceId, said).catch((error: unknown) => this.#options.onFault(asFault(error)));
        holder.queuedBytes -= said.bytes;
      }
    }
    holder.draining = false;
  }

  /** Who it is for is looked up now: an account that was unlinked meanwhile speaks for nobody. */
  async #deliver(sourceId: string, { uplink, owner, platformUserId, content }: Said): Promise<void> {
    const { id, name, platform, profile } = uplink;
    const from = { uplink_id: id, name, platform, profile, platform_user_id: platformUserId };
    const principal = this.#options.principalOf(owner, platform, platformUserId);
    if (principal === null) {
      const actor: Actor = { principal: owner, attribution: 'claimed', session: null };
      await this.#options.publish(sourceId, UNLINKED_TOPIC, { type: 'custom', data: { ...from, content } }, actor);
      return;
    }
    const actor: Actor = { principal, attribution: 'claimed', session: null };
    const session_id = conversationOf(platform, platformUserId);
    const prompt = { type: 'user_input', text: content, session_id, context: { uplink: from } };
    await this.#options.publish(sourceId, PROMPT_TOPIC, prompt, actor);
  }
}

function makeHolder(sourceId: string): Holder {
  return {
    sourceId,
    uplinks: new Map(),
    queues: new Map(),
    rate: new RateWindow(),
    queuedBytes: 0,
    draining: false,
  };
}
