import type { ZodError } from 'zod';
import { CONTROL_METHODS, type ControlMethod } from '../../abi/control.js';
import { asFault, Fault } from '../../abi/errno.js';
import { LIMITS } from '../../abi/limits.js';
import type { FrameConnection } from '../../bus/connection.js';
import type { ClientContext, ControlHandlers, EventSink } from './handlers.js';

const STREAMS_MAX = 32;

interface OpenStream {
  readonly release: (() => void)[];
}

type AnyHandler = (params: unknown, client: ClientContext, sink: EventSink) => unknown;

/** One authenticated connection: requests in, responses and events out. Bad input is answered, never thrown. */
export class ControlSession {
  readonly #connection: FrameConnection;
  readonly #handlers: ControlHandlers;
  readonly #client: string;
  readonly #streams = new Map<number, OpenStream>();
  readonly #release: (() => void)[] = [];
  #nextStream = 1;
  #unsent = 0;
  #closed = false;

  constructor(connection: FrameConnection, handlers: ControlHandlers, client: string) {
    this.#connection = connection;
    this.#handlers = handlers;
    this.#client = client;
  }

  receive(frame: unknown): void {
    const message = typeof frame === 'object' && frame !== null ? (frame as Record<string, unknown>) : {};
    if (message['t'] === 'cancel' && typeof message['stream'] === 'number') {
      this.#endStream(message['stream']);
      return;
    }
    const id = message['id'];
    if (message['t'] !== 'req' || typeof id !== 'number') {
      this.#connection.destroy(new Fault('bad_frame', 'expected a request with a numeric id'));
      return;
    }
    void this.#answer(id, message['method'], message['params'] ?? {});
  }

  close(): void {
    this.#closed = true;
    for (const stream of [...this.#streams.keys()]) this.#endStream(stream);
    for (const release of this.#release.splice(0)) release();
  }

  async #answer(id: number, name: unknown, params: unknown): Promise<void> {
    try {
      const method = findMethod(name);
      const row = CONTROL_METHODS[method];
      const parsed = row.params.safeParse(params);
      if (!parsed.success) throw faultOfParams(parsed.error);
      const handler = this.#handlers[method] as AnyHandler;
      const client: ClientContext = { client: this.#client, onClose: (release) => this.#onClose(release) };
      if (!row.stream) {
        const result: unknown = await handler(parsed.data, client, NO_STREAM);
        this.#send({ t: 'res', id, ok: true, result: result ?? null });
        return;
      }
      await this.#openStream(id, (sink) => handler(parsed.data, client, sink));
    } catch (error) {
      const { code, message, field } = asFault(error);
      this.#send({
        t: 'res',
        id,
        ok: false,
        error: field === undefined ? { code, message } : { code, message, field },
      });
    }
  }

  /** The response comes before the first event, whatever the handler sends while it starts. */
  async #openStream(id: number, start: (sink: EventSink) => unknown): Promise<void> {
    if (this.#streams.size >= STREAMS_MAX) throw new Fault('quota_exceeded', `at most ${STREAMS_MAX} streams at once`);
    const stream = this.#nextStream++;
    const open: OpenStream = { release: [] };
    this.#streams.set(stream, open);
    const held: unknown[] = [];
    let answered = false;
    const emit = (frame: unknown) => (answered ? this.#sendEvent(stream, frame) : void held.push(frame));
    const sink: EventSink = {
      send: (data) => {
        if (this.#streams.has(stream)) emit({ t: 'event', stream, data });
      },
      end: () => {
        if (!this.#streams.has(stream)) return;
        emit({ t: 'end', stream });
        if (answered) this.#endStream(stream);
      },
      onCancel: (release) => (this.#streams.has(stream) ? void open.release.push(release) : release()),
    };
    try {
      await start(sink);
    } catch (error) {
      this.#endStream(stream);
      throw error;
    }
    this.#send({ t: 'res', id, ok: true, result: { stream } });
    answered = true;
    for (const frame of held) this.#sendEvent(stream, frame);
    if (held.some((frame) => (frame as { t: string }).t === 'end')) this.#endStream(stream);
  }

  /** A client that does not read gets so many events, or so many bytes of them; then its stream ends and says why. */
  #sendEvent(stream: number, frame: unknown): void {
    // Ended while what was held for it is sent: that is said once.
    if (!this.#streams.has(stream)) return;
    const isFull = this.#connection.unsentBytes >= LIMITS.controlUnsentBytesMax;
    if (isFull || this.#unsent >= LIMITS.controlUnsentEventsMax) {
      const error = { code: 'rate_limited', message: 'this connection reads too slowly; the stream ends here' };
      this.#connection.send({ t: 'end', stream, error });
      this.#endStream(stream);
      return;
    }
    if (this.#send(frame)) return;
    this.#unsent++;
    void this.#connection.drained().then(() => {
      this.#unsent = 0;
    });
  }

  /** A frame that cannot be sent is said in its place: an error to a request, the end of a stream. */
  #send(frame: unknown): boolean {
    if (this.#closed) return true;
    try {
      return this.#connection.send(frame);
    } catch (thrown) {
      const { code, message } = asFault(thrown);
      const { t, id, stream } = frame as { t: string; id?: number; stream?: number };
      const error = { code, message };
      if (t === 'res') return this.#connection.send({ t: 'res', id, ok: false, error });
      if (stream !== undefined) this.#endStream(stream);
      return this.#connection.send({ t: 'end', stream, error });
    }
  }

  #endStream(stream: number): void {
    const open = this.#streams.get(stream);
    if (open === undefined) return;
    this.#streams.delete(stream);
    for (const release of open.release.splice(0)) release();
  }

  #onClose(release: () => void): void {
    if (this.#closed) release();
    else this.#release.push(release);
  }
}

const NO_STREAM: EventSink = {
  send: () => undefined,
  end: () => undefined,
  onCancel: () => undefined,
};

function findMethod(name: unknown): ControlMethod {
  if (typeof name === 'string' && Object.hasOwn(CONTROL_METHODS, name)) return name as ControlMethod;
  throw new Fault('invalid_argument', `no control method ${JSON.stringify(String(name).slice(0, 64))}`, {
    field: 'method',
  });
}

function faultOfParams(error: ZodError): Fault {
  const issue = error.issues[0];
  const field = issue === undefined || issue.path.length === 0 ? 'params' : issue.path.join('.');
  return new Fault('invalid_argument', `${field}: ${issue?.message ?? 'of the wrong form'}`, { field });
}
