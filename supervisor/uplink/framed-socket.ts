import type { Socket } from 'node:net';
import { encodeHeader, LengthFrames } from './length-frames.js';

export type WriteOutcome = 'written' | 'failed' | 'late' | 'cancelled';

/**
 * One client's socket as frames. It stops reading while a whole frame waits to be taken, so that a client which sends more than
 * is read fills its own buffers and not ours.
 */
export class FramedSocket {
  readonly frames: LengthFrames;
  readonly #socket: Socket;
  readonly #waiters = new Set<() => void>();
  #ended = false;

  constructor(socket: Socket, bodyBytesMax: number) {
    this.#socket = socket;
    this.frames = new LengthFrames(bodyBytesMax);
    socket.on('data', (chunk: Buffer) => {
      this.frames.push(chunk);
      if (this.#isFull) socket.pause();
      this.#wake();
    });
    socket.on('end', () => this.#end());
    socket.on('close', () => this.#end());
    // What went wrong with a client is its own affair; the close that follows is what counts.
    socket.on('error', () => this.#end());
  }

  /** The client sends no more; what it sent before may still be taken. */
  get isEnded(): boolean {
    return this.#ended;
  }

  /** The next frame, or null. Throws Fault too_large. */
  take(): Buffer | null {
    const body = this.frames.take();
    if (!this.#isFull) this.#socket.resume();
    return body;
  }

  /** Reads no more until `begin`. */
  hold(): void {
    this.#socket.pause();
  }

  /** Reads frames of this size from now on. */
  begin(bodyBytesMax: number): void {
    this.frames.allow(bodyBytesMax);
    if (!this.#isFull) this.#socket.resume();
  }

  /** Resolves when `done` says so, the time is up, the client has ended, or the wait is cancelled; `done` is asked after each change. */
  waitUntil(done: () => boolean, ms: number, cancel?: AbortSignal): Promise<void> {
    if (done() || this.#ended || cancel?.aborted === true) return Promise.resolve();
    return new Promise((resolve) => {
      const settle = () => {
        clearTimeout(timer);
        this.#waiters.delete(look);
        cancel?.removeEventListener('abort', settle);
        resolve();
      };
      const look = () => {
        if (done() || this.#ended) settle();
      };
      const timer = setTimeout(settle, ms);
      this.#waiters.add(look);
      cancel?.addEventListener('abort', settle, { once: true });
    });
  }

  /** Writes one frame and resolves when the system has all of it. Header and body are not glued: a body may be 10 MiB. */
  write(body: Uint8Array, ms: number, cancel?: AbortSignal): Promise<WriteOutcome> {
    if (!this.#socket.writable) return Promise.resolve('failed');
    return new Promise((resolve) => {
      const settle = (outcome: WriteOutcome) => {
        clearTimeout(timer);
        this.#socket.off('close', onClose);
        cancel?.removeEventListener('abort', onAbort);
        resolve(outcome);
      };
      const onClose = () => settle('failed');
      const onAbort = () => settle('cancelled');
      const timer = setTimeout(() => settle('late'), ms);
      this.#socket.once('close', onClose);
      cancel?.addEventListener('abort', onAbort, { once: true });
      this.#socket.cork();
      this.#socket.write(encodeHeader(body.length));
      this.#socket.write(body, (error) => settle(error ? 'failed' : 'written'));
      this.#socket.uncork();
    });
  }

  /** Ends after what was written is out. */
  close(): void {
    if (!this.#socket.destroyed) this.#socket.end(() => this.#socket.destroy());
    this.#end();
  }

  /** Ends at once. */
  destroy(): void {
    this.#socket.destroy();
    this.frames.clear();
    this.#end();
  }

  /** A whole frame waits, or one that must not come. */
  get #isFull(): boolean {
    return this.frames.hasFrame || this.frames.isOversize;
  }

  #end(): void {
    this.#ended = true;
    this.#wake();
  }

  #wake(): void {
    for (const look of [...this.#waiters]) look();
  }
}
