import { Fault } from '../../abi/errno.js';
import { LIMITS } from '../../abi/limits.js';
import type { Actor } from '../../bus/message.js';
import type { FramedSocket } from './framed-socket.js';
import type { UplinkListener } from './listener.js';

/** The instance that calls, as far as this service needs it. */
export interface StreamCaller {
  readonly capsule: string;
  readonly sourceId: string;
  readonly actor: Actor;
  readonly cancel: AbortSignal;
  setWaiting(what: string): void;
}

export interface StreamsOptions {
  readonly listener: UplinkListener;
  /** Says on the bus, as that instance, that a client came or went. */
  readonly announce: (sourceId: string, topic: string, payload: object, principal: string) => void;
  readonly log: (capsule: string, message: string) => void;
}

interface OpenStream {
  readonly client: FramedSocket;
  readonly principal: string;
}

/** Streams of one instance: handles from 1, never used again (ABI reference 1.2). */
interface Holder {
  readonly streams: Map<number, OpenStream>;
  issued: number;
}

/** First byte of what `net_read` answers. */
const DATA = Buffer.from([0]);
const CLOSED = Buffer.from([1]);
const PENDING = Buffer.from([2]);
const KIB = 1024;

/** The clients that capsules hold, each under a handle that means something to its own instance only. */
export class UplinkStreams {
  readonly #options: StreamsOptions;
  readonly #holders = new Map<string, Holder>();

  constructor(options: StreamsOptions) {
    this.#options = options;
  }

  bind(): Promise<void> {
    return this.#options.listener.open();
  }

  /** Waits for a client without limit. Throws Fault quota_exceeded, cancelled. */
  async accept(caller: StreamCaller): Promise<number> {
    const most = LIMITS.uplinkStreamsPerCapsuleMax;
    const open = this.#openOf(caller);
    if (open >= most) throw new Fault('quota_exceeded', `connection cap reached (${open}/${most})`);
    caller.setWaiting('net_accept');
    try {
      const handle = await this.#take(caller, null);
      if (handle === null) throw unloading();
      return handle;
    } finally {
      caller.setWaiting('');
    }
  }

  /** A client within a moment; null when none came, at the cap, and when cancelled. */
  async pollAccept(caller: StreamCaller): Promise<number | null> {
    if (this.#openOf(caller) >= LIMITS.uplinkStreamsPerCapsuleMax) return null;
    return this.#take(caller, LIMITS.uplinkPollWaitMs);
  }

  /** A status byte and, for data, one frame. Throws Fault bad_handle, too_large, timed_out. */
  async read(handle: number, caller: StreamCaller): Promise<Buffer> {
    const { client } = this.#streamOf(handle, caller);
    const { frames } = client;
    await client.waitUntil(() => frames.statedBytes !== null, LIMITS.uplinkHeaderWaitMs, caller.cancel);
    const stated = frames.statedBytes;
    if (stated === null) return client.isEnded ? CLOSED : PENDING;
    if (!frames.hasFrame && !frames.isOversize) {
      const bodyMs = LIMITS.uplinkBodyWaitMs + Math.ceil(stated / KIB);
      await client.waitUntil(() => frames.hasFrame, bodyMs, caller.cancel);
    }
    return this.#takeFrame(client, caller);
  }

  /**
   * Writes one frame and waits until the system has it. A client that is gone is no error here (the next read says so); one that
   * does not read in time is let go, so that it cannot hold up everybody whom the capsule serves.
   */
  async write(handle: number, body: Uint8Array, caller: StreamCaller): Promise<void> {
    const { client } = this.#streamOf(handle, caller);
    const outcome = await client.write(body, LIMITS.uplinkWriteWaitMs, caller.cancel);
    if (outcome === 'written') return;
    client.destroy();
    if (outcome === 'cancelled') throw unloading();
    const why = outcome === 'late' ? 'it does not read' : 'it is gone';
    this.#options.log(caller.capsule, `stream ${handle}: the client was let go: ${why}`);
  }

  /** Twice is fine, and so is a handle that never was. */
  close(handle: number, caller: StreamCaller): void {
    const holder = this.#holders.get(caller.sourceId);
    const stream = holder?.streams.get(handle);
    if (holder === undefined || stream === undefined) return;
    holder.streams.delete(handle);
    stream.client.close();
    this.#announceEnd(caller.sourceId, stream, 'stream_closed');
  }

  /** The instance is gone: so are its clients. */
  release(sourceId: string): void {
    const holder = this.#holders.get(sourceId);
    if (holder === undefined) return;
    this.#holders.delete(sourceId);
    for (const stream of holder.streams.values()) {
      stream.client.destroy();
      this.#announceEnd(sourceId, stream, 'capsule_ended');
    }
  }

  /** No `await` between the last look at `cancel` and keeping the client: a release that came before it is seen. */
  async #take(caller: StreamCaller, ms: number | null): Promise<number | null> {
    await this.#options.listener.open();
    const client = await this.#options.listener.take(ms, caller.cancel);
    if (client === null) return null;
    if (caller.cancel.aborted) {
      client.destroy();
      return null;
    }
    const holder = this.#holders.get(caller.sourceId) ?? { streams: new Map(), issued: 0 };
    this.#holders.set(caller.sourceId, holder);
    holder.issued += 1;
    const { principal } = caller.actor;
    holder.streams.set(holder.issued, { client, principal });
    this.#options.announce(caller.sourceId, 'client.v1.connected', { type: 'connect' }, principal);
    return holder.issued;
  }

  #takeFrame(client: FramedSocket, caller: StreamCaller): Buffer {
    if (client.frames.isOversize) {
      client.destroy();
      throw new Fault('too_large', 'Payload too large (max 10MB)', { field: 'stream' });
    }
    const body = client.take();
    if (body !== null) return Buffer.concat([DATA, body]);
    if (client.isEnded) return CLOSED;
    if (caller.cancel.aborted) return PENDING;
    client.destroy();
    throw new Fault('timed_out', 'Payload read timed out', { field: 'stream' });
  }

  #openOf({ sourceId }: StreamCaller): number {
    return this.#holders.get(sourceId)?.streams.size ?? 0;
  }

  #streamOf(handle: number, { sourceId }: StreamCaller): OpenStream {
    const stream = this.#holders.get(sourceId)?.streams.get(handle);
    if (stream === undefined) throw new Fault('bad_handle', `no stream has handle ${handle}`, { field: 'stream' });
    return stream;
  }

  #announceEnd(sourceId: string, { principal }: OpenStream, reason: string): void {
    this.#options.announce(sourceId, 'client.v1.disconnect', { type: 'disconnect', reason }, principal);
  }
}

function unloading(): Fault {
  return new Fault('cancelled', 'capsule unloading');
}
