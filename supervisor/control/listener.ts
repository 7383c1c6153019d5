import { chmod, stat, unlink } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { CONTROL_PROTOCOL } from '../../abi/control.js';
import { Fault } from '../../abi/errno.js';
import { LIMITS } from '../../abi/limits.js';
import { FrameConnection } from '../../bus/connection.js';
import { ignoreMissing } from '../ignore-missing.js';
import { replacePrivateFile } from '../private-files/replace.js';
import type { SessionToken } from '../session-token.js';
import type { ControlHandlers } from './handlers.js';
import { ControlSession } from './session.js';

const CONNECTIONS_MAX = 256;
const CLOSE_WAIT_MS = 1000;
/** Before the token: a hello and no more. */
const HELLO_BYTES_MAX = 64 * 1024;

export interface ListenerOptions {
  readonly socketPath: string;
  readonly tokenPath: string;
  readonly token: SessionToken;
  readonly version: string;
  readonly handlers: ControlHandlers;
  readonly onRejected: (why: string) => void;
  /** Clients find this socket no more: nothing is in its place, or another supervisor's. Told once. */
  readonly onLost: (how: 'gone' | 'replaced') => void;
}

/** The control socket: the only door for people. A client shows the token first and is cut off when it does not. */
export class ControlListener {
  readonly #options: ListenerOptions;
  readonly #clients = new Set<FrameConnection>();
  /** Also those that have not shown the token yet. */
  readonly #open = new Set<FrameConnection>();
  #server: Server | null = null;
  /** Which file the socket is; null while it is not open, and once it is lost. */
  #own: string | null = null;

  constructor(options: ListenerOptions) {
    this.#options = options;
  }

  get clientCount(): number {
    return this.#clients.size;
  }

  /** Publishes the token and listens. The socket lies in a directory that only its owner can enter. */
  async open(): Promise<void> {
    await replacePrivateFile(this.#options.tokenPath, this.#options.token.text);
    const server = createServer((socket) => this.#accept(socket));
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(this.#options.socketPath, () => resolve());
    });
    await chmod(this.#options.socketPath, 0o600);
    this.#server = server;
    this.#own = await identify(this.#options.socketPath);
  }

  /** Looks whether the path still leads to this socket: without it nobody can reach the kernel, also not to stop it. */
  async look(): Promise<void> {
    const own = this.#own;
    if (own === null) return;
    // What cannot be told now is looked at again at the next tick.
    const found = await identify(this.#options.socketPath).catch(() => own);
    if (found === own || this.#own === null) return;
    this.#own = null;
    this.#options.onLost(found === null ? 'gone' : 'replaced');
  }

  async close(): Promise<void> {
    this.#own = null;
    for (const connection of this.#open) connection.close();
    // A client that does not read its last answer must not keep the supervisor.
    const deadline = setTimeout(() => {
      for (const connection of this.#open) connection.destroy();
    }, CLOSE_WAIT_MS);
    const server = this.#server;
    if (server !== null) await new Promise<void>((resolve) => server.close(() => resolve()));
    clearTimeout(deadline);
    await unlink(this.#options.tokenPath).catch(ignoreMissing);
  }

  #accept(socket: Socket): void {
    const connection = new FrameConnection(socket, {
      frameBytesMax: HELLO_BYTES_MAX,
      sendBytesMax: LIMITS.controlFrameBytesMax,
    });
    this.#open.add(connection);
    if (this.#open.size > CONNECTIONS_MAX) this.#reject(connection, 'too many connections');
    const deadline = setTimeout(() => this.#reject(connection, 'no handshake in time'), LIMITS.handshakeWaitMs);
    let session: ControlSession | null = null;
    let refused = false;
    connection.onFrame((frame) => {
      if (session !== null) {
        session.receive(frame);
        return;
      }
      if (refused) return;
      clearTimeout(deadline);
      const fault = this.#checkHello(frame);
      if (fault !== null) {
        refused = true;
        connection.send({ t: 'refused', error: { code: fault.code, message: fault.message } });
        this.#reject(connection, fault.message);
        return;
      }
      this.#clients.add(connection);
      connection.raiseFrameLimit(LIMITS.controlRequestBytesMax);
      connection.send({ t: 'welcome', protocol: CONTROL_PROTOCOL, version: this.#options.version, pid: process.pid });
      session = new ControlSession(connection, this.#options.handlers, clientName(frame));
    });
    connection.onClose((fault) => {
      clearTimeout(deadline);
      this.#clients.delete(connection);
      this.#open.delete(connection);
      session?.close();
      if (fault !== null && fault.code !== 'connection_closed') this.#options.onRejected(fault.message);
    });
  }

  #checkHello(frame: unknown): Fault | null {
    const hello = typeof frame === 'object' && frame !== null ? (frame as Record<string, unknown>) : {};
    if (hello['t'] !== 'hello') return new Fault('bad_frame', 'expected a hello first');
    if (hello['protocol'] !== CONTROL_PROTOCOL) {
      const message = `this supervisor speaks control protocol ${CONTROL_PROTOCOL}`;
      return new Fault('bad_protocol', message, { field: 'protocol' });
    }
    const token = typeof hello['token'] === 'string' ? hello['token'] : '';
    if (!this.#options.token.matches(token)) return new Fault('bad_token', 'authentication failed', { field: 'token' });
    return null;
  }

  #reject(connection: FrameConnection, why: string): void {
    this.#options.onRejected(why);
    connection.close();
  }
}

/** Null: nothing is there. The time of birth is part of it: the number of a removed file is given to the next. */
async function identify(path: string): Promise<string | null> {
  try {
    const { dev, ino, birthtimeNs } = await stat(path, { bigint: true });
    return `${dev} ${ino} ${birthtimeNs}`;
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'ENOENT' || code === 'ENOTDIR') return null;
    throw error;
  }
}

function clientName(frame: unknown): string {
  const name: unknown = typeof frame === 'object' && frame !== null ? Reflect.get(frame, 'client') : undefined;
  return typeof name === 'string' ? name.slice(0, 64) : 'unknown';
}
