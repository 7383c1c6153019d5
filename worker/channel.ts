import { readSync, writeSync } from 'node:fs';
import { Fault } from '../abi/errno.js';
import { decodePayload, encodeFrame } from '../bus/frame.js';

const HEADER_BYTES = 4;
const READ_BYTES = 64 * 1024;

/**
 * The worker's only channel: its two descriptors, read and written synchronously. Blocking in `read` is what makes a
 * host call cost one wake-up instead of a trip through an event loop (design section 2).
 */
export class Channel {
  readonly #input: number;
  readonly #output: number;
  readonly #frameBytesMax: number;
  #buffer = Buffer.allocUnsafe(READ_BYTES);
  #start = 0;
  #end = 0;

  constructor(descriptors: { readonly input: number; readonly output: number }, frameBytesMax: number) {
    this.#input = descriptors.input;
    this.#output = descriptors.output;
    this.#frameBytesMax = frameBytesMax;
  }

  write(value: unknown): void {
    const frame = encodeFrame(value);
    let written = 0;
    while (written < frame.length) written += this.#writeSome(frame, written);
  }

  /** The next frame's value. Throws Fault connection_closed at the end of the stream. */
  read(): unknown {
    this.#need(HEADER_BYTES);
    const length = this.#buffer.readUInt32LE(this.#start);
    if (length > this.#frameBytesMax)
      throw new Fault('frame_too_large', `a frame of ${length} bytes from the supervisor`);
    this.#need(HEADER_BYTES + length);
    const from = this.#start + HEADER_BYTES;
    // Copied, because decoded byte strings are views and the buffer is used again for the next frame.
    const payload = Buffer.from(this.#buffer.subarray(from, from + length));
    this.#start = from + length;
    return decodePayload(payload);
  }

  /** Reads until `bytes` bytes lie between start and end. */
  #need(bytes: number): void {
    if (this.#end - this.#start >= bytes) return;
    if (this.#start > 0) {
      this.#buffer.copy(this.#buffer, 0, this.#start, this.#end);
      this.#end -= this.#start;
      this.#start = 0;
    }
    if (this.#buffer.length < bytes) {
      const larger = Buffer.allocUnsafe(bytes);
      this.#buffer.copy(larger, 0, 0, this.#end);
      this.#buffer = larger;
    }
    while (this.#end < bytes) {
      const count = this.#readSome();
      if (count === 0) throw new Fault('connection_closed', 'the supervisor closed the channel');
      this.#end += count;
    }
  }

  #readSome(): number {
    for (;;) {
      try {
        return readSync(this.#input, this.#buffer, this.#end, this.#buffer.length - this.#end, null);
      } catch (error) {
        waitUnlessFatal(error);
      }
    }
  }

  #writeSome(frame: Buffer, from: number): number {
    for (;;) {
      try {
        return writeSync(this.#output, frame, from, frame.length - from);
      } catch (error) {
        waitUnlessFatal(error);
      }
    }
  }
}

const sleeper = new Int32Array(new SharedArrayBuffer(4));

/** A descriptor that was handed over non-blocking answers EAGAIN: wait a little. Anything else ends the worker. */
function waitUnlessFatal(error: unknown): void {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  if (code === 'EINTR') return;
  if (code !== 'EAGAIN') throw new Fault('connection_closed', 'the channel to the supervisor broke', { cause: error });
  Atomics.wait(sleeper, 0, 0, 1);
}
