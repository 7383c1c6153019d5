import type { Duplex, Readable, Writable } from 'node:stream';
import { asFault, Fault } from '../abi/errno.js';
import { encodeFrame, FRAME_HEADER_BYTES } from './frame.js';
import { FrameReader } from './frame-reader.js';

/** Two ways of one connection that have a stream each. */
export interface StreamPair {
  readonly input: Readable;
  readonly output: Writable;
}

/**
 * A duplex stream of frames. Life: open, then ended once, for one of three reasons: we called `close` or `destroy`,
 * the peer ended cleanly (fault null), or something broke (a Fault). `onClose` is told exactly once, also when it is
 * registered late.
 *
 * Values that arrive before a handler is registered wait in the stream, not here, so its backpressure holds.
 */
export class FrameConnection {
  readonly #input: Readable;
  readonly #output: Writable;
  readonly #reader: FrameReader;
  readonly #sendBytesMax: number;
  #frameHandler: ((value: unknown) => void) | null = null;
  #closeHandler: ((fault: Fault | null) => void) | null = null;
  #drainWaiters: (() => void)[] = [];
  #ended = false;
  #closing = false;
  #fault: Fault | null = null;

  /**
   * `frameBytesMax`: largest payload in bytes that is received, and sent unless `sendBytesMax` says otherwise. The stream
   * must be a byte stream that nobody else reads; of a pair, the end of the input is the connection's.
   */
  constructor(stream: Duplex | StreamPair, options: { frameBytesMax: number; sendBytesMax?: number }) {
    const { input, output } = 'input' in stream ? stream : { input: stream, output: stream };
    this.#input = input;
    this.#output = output;
    this.#sendBytesMax = options.sendBytesMax ?? options.frameBytesMax;
    this.#reader = new FrameReader(options.frameBytesMax);
    output.on('drain', () => this.#wakeDrainWaiters());
    for (const way of new Set([input, output])) way.on('error', (error) => this.#end(faultOfStream(error)));
    // Of a pair the input's alone: a peer that is gone has closed both, and its last frames may still be on their way.
    input.on('end', () => this.#onPeerEnd());
    input.on('close', () => this.#end(this.#unfinished()));
  }

  /**
   * Sets the one receiver of values and starts reading. What the handler throws ends this connection, and nothing else.
   */
  onFrame(handler: (value: unknown) => void): void {
    if (this.#frameHandler !== null) throw new Fault('internal', 'onFrame was called twice');
    this.#frameHandler = handler;
    this.#input.on('data', (chunk: Buffer) => this.#onData(chunk));
  }

  /** Raises the largest payload that is received, once the peer has shown who it is. */
  raiseFrameLimit(frameBytesMax: number): void {
    this.#reader.raiseLimit(frameBytesMax);
  }

  /**
   * Sets the one listener for the end. `fault` is null after a clean end, or after `close` and `destroy` without a
   * fault.
   */
  onClose(handler: (fault: Fault | null) => void): void {
    if (this.#closeHandler !== null) throw new Fault('internal', 'onClose was called twice');
    this.#closeHandler = handler;
    // Deferred, so that a caller sees the same order whether the end came before or after it registered.
    if (this.#ended) queueMicrotask(() => handler(this.#fault));
  }

  /**
   * Sends one value. False: more is buffered than the stream likes; await `drained()` before sending more. After the
   * end it sends nothing and returns false: the end has been, or is being, told through `onClose`. Throws Fault
   * `frame_too_large` or `internal` (see `encodeFrame`), and then nothing was sent.
   */
  send(value: unknown): boolean {
    if (this.#ended || this.#closing) return false;
    return this.#output.write(this.#encode(value));
  }

  /**
   * As `send`, for many values in one write: one system call and one wake-up of the peer. All are sent or, on a throw,
   * none.
   */
  sendMany(values: readonly unknown[]): boolean {
    if (this.#ended || this.#closing) return false;
    if (values.length === 0) return !this.#output.writableNeedDrain;
    return this.#output.write(Buffer.concat(values.map((value) => this.#encode(value))));
  }

  /** Bytes that were sent and that the peer has not made room for. */
  get unsentBytes(): number {
    return this.#output.writableLength;
  }

  /** Resolves when the stream takes more, or when the connection has ended. Never rejects. */
  drained(): Promise<void> {
    if (this.#ended || !this.#output.writableNeedDrain) return Promise.resolve();
    return new Promise((resolve) => this.#drainWaiters.push(resolve));
  }

  /**
   * Flushes what was sent, then ends. Frames that arrive meanwhile are still handed over. A peer that does not read can
   * hold the flush up for ever: whoever needs a deadline calls `destroy` at it.
   */
  close(): void {
    if (this.#ended || this.#closing) return;
    this.#closing = true;
    // A peer that never ends its side must not keep us: once our bytes are out, the stream goes.
    this.#output.end(() => this.#destroyStreams());
  }

  /** Ends at once; unsent bytes are lost. `fault` is what `onClose` hears. */
  destroy(fault?: Fault): void {
    this.#end(fault ?? null);
  }

  #encode(value: unknown): Buffer {
    const frame = encodeFrame(value);
    const bytes = frame.length - FRAME_HEADER_BYTES;
    if (bytes > this.#sendBytesMax) {
      throw new Fault('frame_too_large', `frame of ${bytes} bytes; expected at most ${this.#sendBytesMax}`);
    }
    return frame;
  }

  #onData(chunk: Buffer): void {
    if (this.#ended) return;
    try {
      for (const value of this.#reader.push(chunk)) {
        // A handler may destroy the connection; the frames behind it in this chunk then no longer count.
        if (this.#ended) return;
        this.#frameHandler?.(value);
      }
    } catch (thrown) {
      this.#end(asFault(thrown));
    }
  }

  /**
   * Half-open connections have no use here: when the peer sends no more, our side ends too, after its bytes are out.
   */
  #onPeerEnd(): void {
    const fault = this.#unfinished();
    if (fault !== null || this.#output.writableLength === 0) this.#end(fault);
    else this.close();
  }

  #unfinished(): Fault | null {
    const bytes = this.#reader.pendingBytes;
    return bytes === 0 ? null : new Fault('bad_frame', `connection ended inside a frame, after ${bytes} bytes of it`);
  }

  #end(fault: Fault | null): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#fault = fault;
    this.#destroyStreams();
    this.#wakeDrainWaiters();
    this.#closeHandler?.(fault);
  }

  #destroyStreams(): void {
    this.#input.destroy();
    this.#output.destroy();
  }

  #wakeDrainWaiters(): void {
    const waiters = this.#drainWaiters;
    this.#drainWaiters = [];
    for (const wake of waiters) wake();
  }
}

/** The world's trouble, such as EPIPE. The system's message may name a path, so only its code is passed on. */
function faultOfStream(error: Error): Fault {
  if (error instanceof Fault) return error;
  const code = 'code' in error && typeof error.code === 'string' ? error.code : 'unknown';
  return new Fault('connection_closed', `connection failed (${code})`, { cause: error });
}
