import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, mkdtemp, rename, rm, unlink, writeFile } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type ApprovalRow,
  CONTROL_METHODS,
  CONTROL_PROTOCOL,
  type ControlMethod,
  type LogRow,
  type SessionRow,
} from '../../abi/control.js';
import { asFault, Fault } from '../../abi/errno.js';
import { LIMITS } from '../../abi/limits.js';
import { FrameConnection } from '../../bus/connection.js';

/** An open stream, from the supervisor's side. */
export interface FakeStream {
  send(data: unknown): void;
  end(fault?: Fault): void;
  /** Resolves when the client cancels it. */
  readonly cancelled: Promise<void>;
}

export type FakeHandler = (params: Readonly<Record<string, unknown>>, stream: FakeStream) => unknown;
export type FakeScript = Partial<Record<ControlMethod, FakeHandler>>;

export interface FakeCall {
  readonly method: string;
  readonly params: Readonly<Record<string, unknown>>;
}

export interface FakeOptions {
  readonly ready?: boolean;
  readonly token?: string;
  /** Answers the handshake in another way. */
  readonly welcome?: (hello: Readonly<Record<string, unknown>>) => unknown;
  /** What `welcome` names; 0 stands for a process that is gone. */
  readonly pid?: number;
  /** Answers to methods beside the table. */
  readonly extra?: Readonly<Record<string, FakeHandler>>;
}

interface Waiting {
  readonly method: string;
  readonly count: number;
  readonly resolve: (call: FakeCall) => void;
}

export const FAKE_SESSION: SessionRow = {
  id: 's1',
  principal: 'default',
  workspace: '/work',
  mode: 'guided',
  createdAt: 1_000,
  resumed: false,
};

export function makeApproval(over: Partial<ApprovalRow> = {}): ApprovalRow {
  return {
    id: 'a1',
    session: 's1',
    principal: 'default',
    capsule: 'fs',
    origin: 'kernel',
    action: 'write_file',
    resource: 'cwd://notes.txt',
    detail: ['+ hello'],
    risk: 'medium',
    why: 'mode guided asks before every change',
    decisions: ['once', 'session', 'deny'],
    argsHash: 'ab'.repeat(32),
    createdAt: 0,
    state: 'pending',
    ...over,
  };
}

const DEFAULTS: FakeScript = {
  'session.open': (params) => ({
    ...FAKE_SESSION,
    id: params['id'] ?? FAKE_SESSION.id,
    workspace: params['workspace'],
    mode: params['mode'] ?? FAKE_SESSION.mode,
    resumed: params['id'] !== undefined,
  }),
  'session.list': () => [],
  'bus.subscribe': () => undefined,
  'bus.publish': () => null,
  'approvals.follow': () => undefined,
  'elicit.follow': () => undefined,
  'approvals.list': () => [],
  'approvals.answer': () => null,
  ps: () => [],
  'commands.list': () => [],
};

/**
 * The control protocol on a real socket in a real home, with a script instead of a kernel. Every request is recorded,
 * and checked against the table of `abi/control.ts`: a client that sends anything else is answered with its fault.
 */
export class FakeSupervisor {
  readonly calls: FakeCall[] = [];
  readonly token: string;
  readonly #home: string;
  readonly #script: FakeScript;
  readonly #options: FakeOptions;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #streams = new Map<string, Set<FakeStream>>();
  #waiting: Waiting[] = [];
  #seq = 0;

  private constructor(home: string, script: FakeScript, options: FakeOptions) {
    this.#home = home;
    this.#script = { ...DEFAULTS, ...script };
    this.#options = options;
    this.token = options.token ?? randomBytes(32).toString('hex');
    this.#server = createServer((socket) => this.#accept(socket));
  }

  /** Makes `home` (0700) with `run/system.{sock,token,ready}` and listens. */
  static async start(home: string, script: FakeScript = {}, options: FakeOptions = {}): Promise<FakeSupervisor> {
    const fake = new FakeSupervisor(home, script, options);
    await mkdir(join(home, 'run'), { recursive: true, mode: 0o700 });
    // Listening is what only one of two can do; whoever lost must not have written a token.
    await new Promise<void>((resolve, reject) => {
      fake.#server.once('error', reject);
      fake.#server.listen(join(home, 'run/system.sock'), resolve);
    });
    await fake.#writeToken();
    if (options.ready !== false) await fake.markReady();
    return fake;
  }

  /** Moved into place, as the real one does: a reader never sees half of it. */
  async #writeToken(): Promise<void> {
    const path = join(this.#home, 'run/system.token');
    await writeFile(`${path}.tmp`, this.token, { mode: 0o600 });
    await rename(`${path}.tmp`, path);
  }

  async markReady(): Promise<void> {
    await writeFile(join(this.#home, 'run/system.ready'), '');
  }

  /** Every connection breaks, as if the process had died; it still listens. */
  dropClients(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  /** Stops listening; an orderly stop takes the token with it, a crash leaves it. */
  async stop(how: 'orderly' | 'crash' = 'orderly'): Promise<void> {
    this.dropClients();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
    if (how === 'crash') return;
    for (const name of ['run/system.token', 'run/system.ready']) {
      await unlink(join(this.#home, name)).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== 'ENOENT') throw error;
      });
    }
  }

  /** The `count`th call of a method, now or when it comes. */
  waitCall(method: string, count = 1): Promise<FakeCall> {
    const found = this.calls.filter((call) => call.method === method)[count - 1];
    if (found !== undefined) return Promise.resolve(found);
    return new Promise((resolve) => this.#waiting.push({ method, count, resolve }));
  }

  /** The next time one connection goes away. */
  async waitDisconnect(): Promise<void> {
    await Promise.race([...this.#sockets].map((socket) => once(socket, 'close')));
  }

  /** A message to every bus subscriber. */
  publish(topic: string, payload: unknown, lagged = 0): void {
    this.#seq += 1;
    const row = { topic, payload, principal: 'default', seq: this.#seq, timestamp: '2026-01-01T00:00:00Z', lagged };
    for (const stream of this.#streams.get('bus.subscribe') ?? []) stream.send(row);
  }

  /** The last two messages of a turn. */
  finishTurn(text: string, outcome = 'ok', session = 's1'): void {
    this.publish('agent.v1.turn.finished', { type: 'custom', data: { session_id: session, outcome } });
    this.publish('agent.v1.response', { type: 'agent_response', text, is_final: true, session_id: session });
  }

  /** A row to everybody who follows the logs. */
  log(row: LogRow): void {
    for (const stream of this.#streams.get('logs') ?? []) stream.send(row);
  }

  /** A row to everybody who follows approvals. */
  approval(row: ApprovalRow): void {
    for (const stream of this.#streams.get('approvals.follow') ?? []) stream.send(row);
  }

  #accept(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('close', () => this.#sockets.delete(socket));
    const connection = new FrameConnection(socket, { frameBytesMax: LIMITS.controlFrameBytesMax });
    const peer = new FakePeer(connection, (method, params, stream) => this.#answer(method, params, stream));
    connection.onFrame((frame) => {
      const record = frame as Readonly<Record<string, unknown>>;
      if (record['t'] === 'hello') connection.send(this.#welcome(record));
      else peer.receive(record);
    });
    connection.onClose(() => peer.close());
  }

  #welcome(hello: Readonly<Record<string, unknown>>): unknown {
    if (this.#options.welcome !== undefined) return this.#options.welcome(hello);
    if (hello['token'] !== this.token) {
      return { t: 'refused', error: { code: 'bad_token', message: 'authentication failed' } };
    }
    return { t: 'welcome', protocol: CONTROL_PROTOCOL, version: '9.9.9', pid: this.#options.pid ?? 0 };
  }

  #answer(method: string, params: unknown, stream: FakeStream): unknown {
    const extra = this.#options.extra?.[method];
    if (extra !== undefined) {
      const call = { method, params: params as Readonly<Record<string, unknown>> };
      this.calls.push(call);
      this.#wake(call);
      return extra(call.params, stream);
    }
    if (!Object.hasOwn(CONTROL_METHODS, method)) throw new Fault('invalid_argument', `no control method ${method}`);
    const row = CONTROL_METHODS[method as ControlMethod];
    const parsed = row.params.safeParse(params);
    if (!parsed.success) throw new Fault('invalid_argument', `${method}: ${parsed.error.message}`);
    const call = { method, params: parsed.data as Readonly<Record<string, unknown>> };
    const handler = this.#script[method as ControlMethod];
    if (handler === undefined) throw new Fault('not_served', `the script has no ${method}`);
    if (row.stream) this.#remember(method, stream);
    const result = handler(call.params, stream);
    this.calls.push(call);
    this.#wake(call);
    return result;
  }

  #remember(method: string, stream: FakeStream): void {
    const streams = this.#streams.get(method) ?? new Set();
    this.#streams.set(method, streams.add(stream));
    void stream.cancelled.then(() => streams.delete(stream));
  }

  #wake(call: FakeCall): void {
    const made = this.calls.filter((other) => other.method === call.method).length;
    const due = this.#waiting.filter((one) => one.method === call.method && one.count <= made);
    this.#waiting = this.#waiting.filter((one) => !due.includes(one));
    for (const one of due) one.resolve(call);
  }
}

type Answer = (method: string, params: unknown, stream: FakeStream) => unknown;

/** One connection: gives every request its answer and every stream its number. */
class FakePeer {
  readonly #connection: FrameConnection;
  readonly #answer: Answer;
  readonly #cancel = new Map<number, () => void>();
  #nextStream = 1;

  constructor(connection: FrameConnection, answer: Answer) {
    this.#connection = connection;
    this.#answer = answer;
  }

  receive(frame: Readonly<Record<string, unknown>>): void {
    if (frame['t'] === 'cancel') {
      this.#cancel.get(Number(frame['stream']))?.();
      return;
    }
    const id = frame['id'];
    const stream = this.#nextStream;
    this.#nextStream += 1;
    const held: unknown[] = [];
    let open = false;
    const emit = (value: unknown) => (open ? void this.#connection.send(value) : void held.push(value));
    const cancelled = new Promise<void>((resolve) => this.#cancel.set(stream, resolve));
    const sink: FakeStream = {
      send: (data) => emit({ t: 'event', stream, data }),
      end: (fault) =>
        emit({
          t: 'end',
          stream,
          ...(fault === undefined ? {} : { error: { code: fault.code, message: fault.message } }),
        }),
      cancelled,
    };
    const method = String(frame['method']);
    Promise.resolve()
      .then(() => this.#answer(method, frame['params'], sink))
      .then((result) => {
        const streams = Object.hasOwn(CONTROL_METHODS, method) && CONTROL_METHODS[method as ControlMethod].stream;
        this.#connection.send({ t: 'res', id, ok: true, result: streams ? { stream } : (result ?? null) });
        open = true;
        for (const value of held) this.#connection.send(value);
      })
      .catch((error: unknown) => {
        const { code, message } = asFault(error);
        this.#connection.send({ t: 'res', id, ok: false, error: { code, message } });
      });
  }

  close(): void {
    for (const resolve of this.#cancel.values()) resolve();
  }
}

interface TeardownScope {
  teardown(run: () => unknown): void;
}

/** A fresh private directory for a home, short enough for a socket inside it; removed after the test. */
export async function makeHome(t: TeardownScope): Promise<string> {
  const home = await mkdtemp(join(tmpdir(), 'astrid-cli-'));
  t.teardown(() => rm(home, { recursive: true, force: true }));
  return home;
}

/** A running fake supervisor in a fresh home, stopped after the test. */
export async function startFake(
  t: TeardownScope,
  script: FakeScript = {},
  options: FakeOptions = {},
): Promise<{ home: string; fake: FakeSupervisor }> {
  const home = await makeHome(t);
  const fake = await FakeSupervisor.start(home, script, options);
  t.teardown(() => fake.stop());
  return { home, fake };
}
