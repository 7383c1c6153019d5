import { chmod } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { asFault, Fault } from '../../abi/errno.js';
import { LIMITS } from '../../abi/limits.js';
import { clearStaleSocket } from '../instance-lock.js';
import { FramedSocket } from './framed-socket.js';
import { answerHello, refuse, type TokenCheck } from './handshake.js';

export interface UplinkListenerOptions {
  readonly socketPath: string;
  readonly version: string;
  readonly token: TokenCheck;
  /** A client that was turned away: a security event for the operator. */
  readonly onRejected: (why: string) => void;
}

/** A client that has shown the token and whose answer is held back until a capsule takes it. */
interface WaitingClient {
  readonly client: FramedSocket;
  readonly answer: Buffer;
  readonly timer: NodeJS.Timeout;
}

/**
 * The socket where people's front ends knock, for capsules that may serve them (ABI reference 2.6 and 7). Opened when the first such
 * capsule asks for it, and open until shutdown.
 *
 * Every handshake runs by itself, beside the capsule: a client that is slow in it, or sends rubbish, costs nobody else's time. `ok`
 * is said only when a capsule takes the client, so that it means what it says.
 *
 * The original also asks the system for the peer's user id. Node has no way to SO_PEERCRED; what keeps other users out here is the
 * home's `run` directory, mode 0700, which `openHome` checks, and the socket's own mode 0600.
 */
export class UplinkListener {
  readonly #options: UplinkListenerOptions;
  /** Clients that have not shown the token yet, oldest first. */
  readonly #strangers = new Set<FramedSocket>();
  readonly #waiting: WaitingClient[] = [];
  /** Every connection, also those that capsules hold: none may outlive the listener. */
  readonly #sockets = new Set<Socket>();
  readonly #wakers = new Set<() => void>();
  #opening: Promise<Server> | null = null;
  #closed = false;

  constructor(options: UplinkListenerOptions) {
    this.#options = options;
  }

  /** Opens the socket unless it is open. Throws Fault already_running, io_error, or cancelled after `close`. */
  async open(): Promise<void> {
    if (this.#closed) throw new Fault('cancelled', 'capsule unloading');
    this.#opening ??= this.#listen();
    try {
      await this.#opening;
    } catch (cause) {
      this.#opening = null;
      const fault = asFault(cause);
      throw fault.code === 'internal' ? new Fault('io_error', 'the uplink socket cannot be opened', { cause }) : fault;
    }
  }

  /**
   * The next client, told `ok` just now; null when none came in time, or when cancelled. `ms` null waits without end. The caller
   * looks at its own state before it keeps the client.
   */
  async take(ms: number | null, cancel: AbortSignal): Promise<FramedSocket | null> {
    const deadline = ms === null ? Number.POSITIVE_INFINITY : performance.now() + ms;
    while (!cancel.aborted && !this.#closed) {
      const next = this.#waiting.shift();
      if (next === undefined) {
        const leftMs = deadline - performance.now();
        if (leftMs <= 0) return null;
        await this.#waitForClient(leftMs, cancel);
        continue;
      }
      clearTimeout(next.timer);
      // A client that went away meanwhile shows here, and the next one is looked at.
      if ((await next.client.write(next.answer, LIMITS.handshakeWaitMs)) === 'written') {
        next.client.begin(LIMITS.payloadBytesMax);
        return next.client;
      }
      next.client.destroy();
    }
    return null;
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const { timer } of this.#waiting.splice(0)) clearTimeout(timer);
    for (const socket of this.#sockets) socket.destroy();
    this.#wake();
    const [opened] = await Promise.allSettled([this.#opening]);
    // Closing it also removes the socket file.
    if (opened.status === 'fulfilled' && opened.value !== null) {
      const server = opened.value;
      await new Promise<void>((resolve) => server.close(() => resolve()));
    }
  }

  async #listen(): Promise<Server> {
    const { socketPath } = this.#options;
    await clearStaleSocket(socketPath);
    // Half-open: a client may send all it has, end its side, and still read the answers.
    const server = createServer({ allowHalfOpen: true }, (socket) => void this.#greet(socket));
    try {
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject);
        server.listen(socketPath, () => resolve());
      });
      await chmod(socketPath, 0o600);
      return server;
    } catch (error) {
      server.close();
      throw error;
    }
  }

  async #greet(socket: Socket): Promise<void> {
    const { token, version } = this.#options;
    this.#sockets.add(socket);
    socket.once('close', () => this.#sockets.delete(socket));
    const client = new FramedSocket(socket, LIMITS.uplinkHandshakeBytesMax);
    if (this.#closed) return client.destroy();
    this.#strangers.add(client);
    this.#dropOldestStranger();
    await client.waitUntil(() => client.frames.hasFrame || client.frames.isOversize, LIMITS.handshakeWaitMs);
    this.#strangers.delete(client);
    const frame = client.frames.hasFrame ? client.take() : null;
    const answer = frame === null ? null : answerHello(frame, token, version);
    if (answer === null) {
      // One that said nothing and went only looked whether somebody listens.
      const looked = client.isEnded && frame === null && client.frames.pendingBytes === 0;
      const late = !client.isEnded && frame === null && !client.frames.isOversize;
      if (!looked) this.#options.onRejected(late ? 'no handshake in time' : 'the handshake cannot be read');
      return client.destroy();
    }
    if (!answer.accepted) return this.#turnAway(client, answer);
    if (this.#waiting.length >= LIMITS.uplinkClientsWaitingMax) {
      return this.#turnAway(client, refuse('too many clients are waiting', version));
    }
    client.hold();
    this.#keepWaiting(client, answer.body);
  }

  #keepWaiting(client: FramedSocket, answer: Buffer): void {
    const timer = setTimeout(() => {
      const at = this.#waiting.findIndex((entry) => entry.client === client);
      if (at >= 0) this.#waiting.splice(at, 1);
      client.destroy();
      this.#options.onRejected('no capsule took the client in time');
    }, LIMITS.uplinkAcceptWaitMs);
    this.#waiting.push({ client, answer, timer });
    this.#wake();
  }

  async #turnAway(client: FramedSocket, { body, reason }: { body: Buffer; reason: string }): Promise<void> {
    this.#options.onRejected(reason);
    const outcome = await client.write(body, LIMITS.handshakeWaitMs);
    if (outcome === 'written') client.close();
    else client.destroy();
  }

  /** A flood of half-open handshakes pushes out the oldest of them, and never the next one who knocks. */
  #dropOldestStranger(): void {
    if (this.#strangers.size <= LIMITS.uplinkHandshakesMax) return;
    const [oldest] = this.#strangers;
    if (oldest === undefined) return;
    this.#strangers.delete(oldest);
    oldest.destroy();
  }

  #waitForClient(ms: number, cancel: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const settle = () => {
        if (timer !== null) clearTimeout(timer);
        this.#wakers.delete(settle);
        cancel.removeEventListener('abort', settle);
        resolve();
      };
      const timer = Number.isFinite(ms) ? setTimeout(settle, ms) : null;
      this.#wakers.add(settle);
      cancel.addEventListener('abort', settle, { once: true });
    });
  }

  #wake(): void {
    for (const wake of [...this.#wakers]) wake();
  }
}
