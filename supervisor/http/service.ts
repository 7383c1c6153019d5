import { Fault } from '../../abi/errno.js';
import { LIMITS } from '../../abi/limits.js';
import { ACCEPTED_ENCODINGS, readBody, textOf, undoesEncoding } from './body.js';
import { type Resolver, requireOpen, resolveBySystem } from './connect.js';
import { Connections, type Lease } from './connections.js';
import { exchange, type HttpResponse } from './exchange.js';
import { networkFault } from './failures.js';
import { LocalGrants } from './local-grants.js';
import type { HttpRequest } from './request.js';
import { ResponseStream } from './response-stream.js';

/** Who asks, in the service's words. */
export interface HttpCaller {
  /** The instance: its connections and streams end with it. */
  readonly sourceId: string;
  readonly cancel: AbortSignal;
  /** Asked before each redirect; false hands the redirect to the guest. Throws the Fault of what refuses it. */
  mayFollow(from: HttpRequest, to: HttpRequest): boolean | Promise<boolean>;
}

export interface HttpTimes {
  readonly requestMs: number;
  readonly connectMs: number;
  readonly chunkMs: number;
}

export interface HttpOptions {
  /** `[net] local` of config.toml: `host:port`. */
  readonly local: readonly string[];
  readonly resolve?: Resolver;
  readonly times?: Partial<HttpTimes>;
}

interface Reply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
}

/** What one instance has: its connections, and its streams under handles that are never used twice. */
interface Holder {
  readonly connections: Connections;
  readonly streams: Map<number, ResponseStream>;
  opening: number;
  lastHandle: number;
}

/** One call under a clock: what it holds when the clock or the capsule ends is closed at once. */
interface Attempt {
  /** Throws when it is over already. */
  hold(what: Pick<Lease, 'drop'>): void;
}

const GONE = () => new Fault('cancelled', 'the capsule is being stopped');
/** The four http calls (ABI reference 2.5), without the gate: the caller was let through, and is asked about each redirect. */
export class HttpService {
  readonly #grants: LocalGrants;
  readonly #resolve: Resolver;
  readonly #times: HttpTimes;
  readonly #holders = new Map<string, Holder>();

  constructor({ local, resolve = resolveBySystem, times = {} }: HttpOptions) {
    this.#grants = new LocalGrants(local);
    this.#resolve = resolve;
    this.#times = {
      requestMs: LIMITS.httpRequestMs,
      connectMs: LIMITS.httpConnectMs,
      chunkMs: LIMITS.httpChunkWaitMs,
      ...times,
    };
  }

  /** An address, or this machine by its name, that the operator did not open: told before anybody is asked whether it may be. */
  admit({ target }: HttpRequest): void {
    requireOpen(target, this.#grants.covers(target));
  }

  /** The whole response. Faults: `timed_out`, `too_large`, `not_supported` (not UTF-8), `policy_denied`, `io_error`. */
  async request(request: HttpRequest, caller: HttpCaller): Promise<Reply & { readonly body: string }> {
    const holder = this.#holderOf(caller);
    const asked = withDefault(request, 'accept-encoding', ACCEPTED_ENCODINGS);
    return this.#bounded(caller, this.#times.requestMs, async (attempt) => {
      const response = await this.#exchange(asked, holder, caller, attempt);
      const { status, headers, lease } = response;
      try {
        const encoding = headers.get('content-encoding');
        const body = await readBody(response.body, encoding, LIMITS.httpBodyBytesMax);
        const wasDecoded = undoesEncoding(encoding) && body.length > 0;
        const reply = { status, headers: describe(headers, wasDecoded), body: textOf(body) };
        lease.giveBack();
        return reply;
      } catch (error) {
        lease.drop(networkFault(error));
        throw networkFault(error);
      }
    });
  }

  /** Resolves when the headers are there. The body stays in the network until it is read. */
  async openStream(request: HttpRequest, caller: HttpCaller): Promise<Reply & { readonly handle: string }> {
    const holder = this.#holderOf(caller);
    const open = holder.streams.size + holder.opening;
    if (open >= LIMITS.httpStreamsMax) {
      throw new Fault('quota_exceeded', `HTTP stream cap reached (${open}/${LIMITS.httpStreamsMax})`);
    }
    // A chunk is handed on as it came, so it should come as it is.
    const asked = withDefault(request, 'accept-encoding', 'identity');
    holder.opening += 1;
    try {
      return await this.#bounded(caller, this.#times.chunkMs, async (attempt) => {
        const response = await this.#exchange(asked, holder, caller, attempt);
        attempt.hold(response.lease);
        const handle = ++holder.lastHandle;
        holder.streams.set(handle, new ResponseStream(response));
        return { handle: String(handle), status: response.status, headers: describe(response.headers, false) };
      });
    } finally {
      holder.opening -= 1;
    }
  }

  /** The next bytes; none at the end of the body, and none when the capsule is being stopped. */
  async readStream(handle: number, caller: HttpCaller): Promise<Buffer> {
    const stream = this.#holders.get(caller.sourceId)?.streams.get(handle);
    if (stream === undefined) throw new Fault('bad_handle', 'HTTP stream handle not found', { field: 'stream' });
    try {
      return await this.#bounded(caller, this.#times.chunkMs, (attempt) => {
        attempt.hold(stream);
        return stream.next();
      });
    } catch (error) {
      if (caller.cancel.aborted) return Buffer.alloc(0);
      stream.drop(networkFault(error));
      throw networkFault(error);
    }
  }

  closeStream(handle: number, { sourceId }: Pick<HttpCaller, 'sourceId'>): void {
    const streams = this.#holders.get(sourceId)?.streams;
    streams?.get(handle)?.drop(new Fault('cancelled', 'the stream was closed'));
    streams?.delete(handle);
  }

  /** The instance is gone, and every connection it had. */
  release(sourceId: string): void {
    this.#holders.get(sourceId)?.connections.close(GONE());
    this.#holders.delete(sourceId);
  }

  close(): void {
    for (const sourceId of [...this.#holders.keys()]) this.release(sourceId);
  }

  #exchange(request: HttpRequest, holder: Holder, caller: HttpCaller, attempt: Attempt): Promise<HttpResponse> {
    return exchange(request, {
      connections: holder.connections,
      grants: this.#grants,
      mayFollow: (from, to) => caller.mayFollow(from, to),
      onLease: (lease) => attempt.hold(lease),
    });
  }

  /** An instance that is gone gets nothing any more: nobody would release it. */
  #holderOf({ sourceId, cancel }: HttpCaller): Holder {
    if (cancel.aborted) throw GONE();
    let holder = this.#holders.get(sourceId);
    if (holder === undefined) {
      const connections = new Connections({ resolve: this.#resolve, connectWaitMs: this.#times.connectMs });
      holder = { connections, streams: new Map(), opening: 0, lastHandle: 0 };
      this.#holders.set(sourceId, holder);
    }
    return holder;
  }

  /** Runs `work` until its end, the clock's, or the capsule's. In the last two, what it holds is closed before the Fault is thrown. */
  #bounded<T>({ cancel }: HttpCaller, waitMs: number, work: (attempt: Attempt) => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      let ended: Fault | null = null;
      let held: Pick<Lease, 'drop'> | null = null;
      const end = (why: Fault) => {
        ended = why;
        held?.drop(why);
        reject(why);
      };
      const onCancel = () => end(GONE());
      const timer = setTimeout(() => end(new Fault('timed_out', `no answer within ${waitMs} ms`)), waitMs);
      cancel.addEventListener('abort', onCancel, { once: true });
      const hold: Attempt['hold'] = (what) => {
        held = what;
        if (ended !== null) throw ended;
      };
      work({ hold })
        .then(resolve, reject)
        .finally(() => {
          clearTimeout(timer);
          cancel.removeEventListener('abort', onCancel);
        });
    });
  }
}

function withDefault(request: HttpRequest, name: string, value: string): HttpRequest {
  return request.headers.has(name) ? request : { ...request, headers: new Map([...request.headers, [name, value]]) };
}

/** For the reply's JSON. Length and encoding of a body that was decompressed would describe something nobody has. */
function describe(headers: ReadonlyMap<string, string>, wasDecoded: boolean): Readonly<Record<string, string>> {
  const shown = [...headers].filter(
    ([name]) => !wasDecoded || (name !== 'content-encoding' && name !== 'content-length'),
  );
  return Object.fromEntries(shown);
}
