import type { Socket } from 'node:net';
import { Client } from 'undici';
import { Fault } from '../../abi/errno.js';
import { LIMITS } from '../../abi/limits.js';
import { openConnection, type Resolver } from './connect.js';
import type { HttpTarget } from './target.js';

export interface ConnectionParts {
  readonly resolve: Resolver;
  readonly connectWaitMs: number;
}

/** One connection in the hands of one request. */
export interface Lease {
  readonly client: Client;
  /** It has carried a request before. */
  readonly reused: boolean;
  /** The response was read to its end: the connection may serve the next request. */
  giveBack(): void;
  /** Closes the connection; whoever waits on it gets `why`. */
  drop(why: Fault): void;
}

/**
 * The connections of one instance, each for one origin and one request at a time. None is shared between instances, so that what
 * a server does to a connection is felt by the capsule that chose the server. Those to granted local places are kept apart: a
 * request that was not granted never finds one.
 */
export class Connections {
  readonly #parts: ConnectionParts;
  /** Oldest first. */
  readonly #idle: { readonly key: string; readonly kept: Kept }[] = [];
  readonly #all = new Set<Kept>();
  #closed = false;

  constructor(parts: ConnectionParts) {
    this.#parts = parts;
  }

  take(target: HttpTarget, local: boolean, fresh = false): Lease {
    if (this.#closed) throw new Fault('cancelled', 'the capsule is being stopped');
    const key = `${local ? 'local' : 'public'} ${target.origin}`;
    const at = fresh ? -1 : this.#idle.findLastIndex((one) => one.key === key && one.kept.isOpen);
    const found = at === -1 ? undefined : this.#idle.splice(at, 1)[0]?.kept;
    const kept = found ?? this.#open(target, local);
    return {
      client: kept.client,
      reused: found !== undefined,
      giveBack: () => this.#keep(key, kept),
      drop: (why) => this.#drop(kept, why),
    };
  }

  close(why: Fault): void {
    this.#closed = true;
    for (const kept of this.#all) this.#drop(kept, why);
    this.#idle.length = 0;
  }

  #open(target: HttpTarget, local: boolean): Kept {
    const kept = new Kept(target, local, this.#parts);
    this.#all.add(kept);
    return kept;
  }

  #keep(key: string, kept: Kept): void {
    if (!this.#all.has(kept)) return;
    this.#idle.push({ key, kept });
    if (this.#idle.length <= LIMITS.httpIdleConnectionsMax) return;
    this.#drop(this.#idle.shift()!.kept, new Fault('cancelled', 'an idle connection was closed'));
  }

  #drop(kept: Kept, why: Fault): void {
    this.#all.delete(kept);
    kept.end(why);
  }
}

class Kept {
  readonly client: Client;
  readonly #ended = new AbortController();

  constructor(target: HttpTarget, local: boolean, { resolve, connectWaitMs }: ConnectionParts) {
    const options = { target, local, resolve, waitMs: connectWaitMs, signal: this.#ended.signal };
    this.client = new Client(target.origin, {
      connect: (_options, callback) => {
        openConnection(options).then(
          (socket: Socket) => callback(null, socket as never),
          (error: Error) => callback(error, null),
        );
      },
      pipelining: 1,
      allowH2: false,
      strictContentLength: true,
      maxHeaderSize: LIMITS.httpHeaderBytesMax,
      keepAliveTimeout: LIMITS.httpIdleConnectionMs,
      keepAliveMaxTimeout: LIMITS.httpIdleConnectionMs,
      // The clocks are the service's own: a library's would start again with each byte.
      headersTimeout: 0,
      bodyTimeout: 0,
    });
  }

  get isOpen(): boolean {
    return !this.client.destroyed && !this.client.closed;
  }

  end(why: Fault): void {
    this.#ended.abort();
    this.client.destroy(why).catch(() => undefined);
  }
}
