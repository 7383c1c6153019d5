import { connect, type Socket } from 'node:net';
import type { CONTROL_PROTOCOL, ControlInput, ControlMethod } from '../abi/control.js';
import { asFault, Fault, type FaultCode, isFaultCode } from '../abi/errno.js';
import { LIMITS } from '../abi/limits.js';
import { FrameConnection } from '../bus/connection.js';
import { EventStream } from './event-stream.js';
import { type Home, notRunning, readToken } from './home.js';

/** A type, not an import of the value: the protocol's module loads a schema library that a client has no use for. */
const PROTOCOL: typeof CONTROL_PROTOCOL = 1;

export const REQUEST_WAIT_MS = 10_000;

interface Waiter {
  readonly method: string;
  /** Set when the answer opens a stream: it must exist before the next frame of the same chunk is handled. */
  readonly stream: EventStream | null;
  readonly settle: (fault: Fault | null, result: unknown) => void;
}

type StreamId = string | number;

interface Welcome {
  readonly version: string;
  readonly pid: number;
}

export interface RequestOptions {
  readonly waitMs?: number;
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isStreamId(value: unknown): value is StreamId {
  return typeof value === 'string' || typeof value === 'number';
}

/** `{code, message, field?}` of a frame as a Fault; a code of a newer supervisor becomes `internal`. */
export function readWireFault(error: unknown): Fault {
  if (!isRecord(error)) return new Fault('internal', 'the supervisor reported an error without saying which');
  const code: FaultCode = isFaultCode(error['code']) ? error['code'] : 'internal';
  const message = typeof error['message'] === 'string' ? error['message'] : code;
  const field = error['field'];
  return new Fault(code, message, typeof field === 'string' ? { field } : {});
}

/**
 * One connection to the supervisor, speaking `abi/control.ts`. Every request has a deadline and closing the
 * connection settles every waiter and every stream once.
 */
export class ControlClient {
  readonly #connection: FrameConnection;
  readonly #waiters = new Map<number, Waiter>();
  readonly #streams = new Map<StreamId, EventStream>();
  readonly #closed: Promise<Fault>;
  #resolveClosed: (fault: Fault) => void = () => {};
  #handshake: Waiter | null = null;
  #welcome: Welcome = { version: '?', pid: 0 };
  #nextId = 1;
  #ended: Fault | null = null;

  private constructor(socket: Socket) {
    this.#connection = new FrameConnection(socket, { frameBytesMax: LIMITS.controlFrameBytesMax });
    this.#closed = new Promise((resolve) => {
      this.#resolveClosed = resolve;
    });
    this.#connection.onFrame((frame) => this.#handleFrame(frame));
    this.#connection.onClose((fault) => this.#handleClose(fault));
  }

  /**
   * Connects, shakes hands, returns a ready client. Faults: `not_running` (nobody listens), `bad_token`,
   * `bad_protocol` (another version answers), `timed_out`.
   */
  static async connect(home: Home, waitMs: number = LIMITS.handshakeWaitMs): Promise<ControlClient> {
    const token = await readToken(home);
    try {
      return await ControlClient.#connectWith(home, token, waitMs);
    } catch (error) {
      if (asFault(error).code !== 'bad_token') throw error;
      // A supervisor that starts writes a new token and then listens: read before, shown after, it is the old one.
      const again = await readToken(home);
      if (again === token) throw error;
      return ControlClient.#connectWith(home, again, waitMs);
    }
  }

  static async #connectWith(home: Home, token: string, waitMs: number): Promise<ControlClient> {
    const client = new ControlClient(await openSocket(home.at('run/system.sock'), waitMs));
    try {
      await client.#shakeHands(token, waitMs);
    } catch (error) {
      client.#connection.destroy();
      throw error;
    }
    return client;
  }

  /** Version of the supervisor that answers. */
  get version(): string {
    return this.#welcome.version;
  }

  get supervisorPid(): number {
    return this.#welcome.pid;
  }

  /** Resolves, with the reason, once the connection is gone. */
  get closed(): Promise<Fault> {
    return this.#closed;
  }

  get isClosed(): boolean {
    return this.#ended !== null;
  }

  /** One call, one answer. The result is what the row types of `abi/control.ts` say; it is not checked here. */
  async request<M extends ControlMethod>(
    method: M,
    params: ControlInput<M>,
    options: RequestOptions = {},
  ): Promise<unknown> {
    return this.#send(method, params, null, options.waitMs ?? REQUEST_WAIT_MS);
  }

  /** A call that answers with events. The deadline is for the opening; the stream ends with the connection. */
  async stream<M extends ControlMethod>(method: M, params: ControlInput<M>): Promise<EventStream> {
    const stream = new EventStream();
    await this.#send(method, params, stream, REQUEST_WAIT_MS);
    return stream;
  }

  close(): void {
    this.#end(new Fault('cancelled', 'the connection was closed'));
    this.#connection.close();
  }

  async #shakeHands(token: string, waitMs: number): Promise<void> {
    const welcome = await new Promise<unknown>((resolve, reject) => {
      this.#handshake = deadlined('the handshake', waitMs, null, resolve, reject);
      this.#connection.send({ t: 'hello', token, protocol: PROTOCOL, client: 'astrid-cli' });
    });
    this.#welcome = readWelcome(welcome);
  }

  #send(method: string, params: unknown, stream: EventStream | null, waitMs: number): Promise<unknown> {
    if (this.#ended !== null) return Promise.reject(this.#ended);
    const id = this.#nextId;
    this.#nextId += 1;
    return new Promise((resolve, reject) => {
      // Sent before it is waited for: a value that does not fit a frame throws here, and the promise carries it.
      this.#connection.send({ t: 'req', id, method, params });
      this.#waiters.set(id, deadlined(method, waitMs, stream, resolve, reject));
    });
  }

  #handleFrame(frame: unknown): void {
    const handshake = this.#handshake;
    if (handshake !== null) {
      this.#handshake = null;
      handshake.settle(null, frame);
      return;
    }
    if (!isRecord(frame)) this.#fail('a frame that is no map');
    else if (frame['t'] === 'res') this.#handleResponse(frame);
    else if (frame['t'] === 'event' || frame['t'] === 'end') this.#handleEvent(frame);
    else this.#fail(`a frame of unknown kind ${JSON.stringify(frame['t'])}`);
  }

  #handleResponse(frame: Readonly<Record<string, unknown>>): void {
    const id = frame['id'];
    const waiter = typeof id === 'number' ? this.#waiters.get(id) : undefined;
    // An answer after its deadline is no fault of the supervisor; the waiter was told already.
    if (waiter === undefined || typeof id !== 'number') return;
    this.#waiters.delete(id);
    if (frame['ok'] !== true) {
      waiter.settle(readWireFault(frame['error']), undefined);
      return;
    }
    const result = frame['result'];
    if (waiter.stream !== null) {
      const streamId = isRecord(result) ? result['stream'] : undefined;
      if (!isStreamId(streamId)) {
        waiter.settle(new Fault('bad_protocol', `${waiter.method} answered without a stream`), undefined);
        return;
      }
      this.#adopt(streamId, waiter.stream);
    }
    waiter.settle(null, result);
  }

  #adopt(id: StreamId, stream: EventStream): void {
    this.#streams.set(id, stream);
    stream.onCancel(() => {
      if (!this.#streams.delete(id) || this.#ended !== null) return;
      this.#connection.send({ t: 'cancel', stream: id });
    });
  }

  #handleEvent(frame: Readonly<Record<string, unknown>>): void {
    const id = frame['stream'];
    const stream = isStreamId(id) ? this.#streams.get(id) : undefined;
    // Events that were on their way while we cancelled.
    if (stream === undefined || !isStreamId(id)) return;
    if (frame['t'] === 'event') {
      stream.push(frame['data']);
      return;
    }
    this.#streams.delete(id);
    const error = frame['error'];
    stream.end(error === undefined || error === null ? null : readWireFault(error));
  }

  #fail(what: string): void {
    const fault = new Fault('bad_protocol', `the supervisor sent ${what}`);
    this.#end(fault);
    this.#connection.destroy(fault);
  }

  #handleClose(fault: Fault | null): void {
    const why = fault === null ? '' : ` (${fault.message})`;
    this.#end(new Fault('connection_closed', `the supervisor closed the connection${why}`));
  }

  #end(fault: Fault): void {
    if (this.#ended !== null) return;
    this.#ended = fault;
    this.#handshake?.settle(fault, undefined);
    for (const waiter of this.#waiters.values()) waiter.settle(fault, undefined);
    this.#waiters.clear();
    for (const stream of this.#streams.values()) stream.end(fault);
    this.#streams.clear();
    this.#resolveClosed(fault);
  }
}

/** A waiter that times out by itself. A late answer finds it settled and changes nothing. */
function deadlined(
  method: string,
  waitMs: number,
  stream: EventStream | null,
  resolve: (result: unknown) => void,
  reject: (fault: Fault) => void,
): Waiter {
  const timer = setTimeout(() => {
    // A stream that opens after all is cancelled at once: nobody would read it.
    stream?.cancel();
    reject(new Fault('timed_out', `the supervisor did not answer ${method} within ${waitMs / 1000} s`));
  }, waitMs);
  return {
    method,
    stream,
    settle: (fault, result) => {
      clearTimeout(timer);
      if (fault === null) resolve(result);
      else reject(fault);
    },
  };
}

function openSocket(path: string, waitMs: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ path });
    const timer = setTimeout(() => socket.destroy(new Fault('timed_out', 'the supervisor does not accept')), waitMs);
    socket.once('connect', () => {
      clearTimeout(timer);
      socket.removeAllListeners('error');
      resolve(socket);
    });
    socket.once('error', (error: NodeJS.ErrnoException) => {
      clearTimeout(timer);
      const nobody = error.code === 'ENOENT' || error.code === 'ECONNREFUSED';
      reject(nobody ? notRunning() : asFault(error));
    });
  });
}

/** The frame that answers `hello`, as a welcome or as the Fault it stands for. */
function readWelcome(frame: unknown): Welcome {
  if (!isRecord(frame)) throw new Fault('bad_protocol', 'the answer to the handshake is no map');
  if (frame['error'] !== undefined && frame['error'] !== null) throw readWireFault(frame['error']);
  if (frame['t'] !== 'welcome') throw new Fault('bad_protocol', 'the answer to the handshake is no welcome');
  if (frame['protocol'] !== PROTOCOL) {
    const theirs = JSON.stringify(frame['protocol']) ?? 'none';
    throw new Fault('bad_protocol', `the supervisor speaks protocol ${theirs}, this program ${PROTOCOL}; restart it`);
  }
  const { version, pid } = frame;
  return { version: typeof version === 'string' ? version : '?', pid: typeof pid === 'number' ? pid : 0 };
}
