import { Fault } from '../abi/errno.js';
import { decodePayload, FRAME_HEADER_BYTES } from './frame.js';

/**
 * Chunks below this size are copied together: one 100-byte object per 1-byte chunk would multiply what a sender sends.
 */
const BLOCK_BYTES = 16 * 1024;

/**
 * Bytes in, whole values out; no I/O. A frame inside one chunk is decoded where it lies. One that spans chunks is
 * joined once, when its last byte is there; until then only received bytes take memory, whatever length was declared.
 *
 * After the first Fault the reader stays broken: the boundary of the next frame is unknown, so whoever feeds it
 * must end the connection.
 */
export class FrameReader {
  #bytesMax: number;
  /** Received and not yet decoded, in order. The first byte of `#chunks[0]` is the first byte of a frame. */
  #chunks: Buffer[] = [];
  #pendingBytes = 0;
  /** Size of the frame that the pending bytes begin, header included; 0 until its header is whole. */
  #frameBytes = 0;
  /** Private block at the end of `#chunks` that still has room, and how much of it is used. */
  #block: Buffer | null = null;
  #blockUsed = 0;
  #fault: Fault | null = null;

  /** @param bytesMax largest accepted payload in bytes, without the 4 bytes of its length */
  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** A peer that has shown who it is may send more at once. */
  raiseLimit(bytesMax: number): void {
    this.#bytesMax = Math.max(this.#bytesMax, bytesMax);
  }

  /** Bytes held that no whole frame has claimed yet. */
  get pendingBytes(): number {
    return this.#pendingBytes;
  }

  /**
   * The values of all frames that `chunk` completes. The reader keeps views of `chunk`: its owner must not write to it
   * again. Throws Fault `frame_too_large` or `bad_frame`; frames that were complete before the bad one in the same
   * chunk are lost with it, since a peer that breaks the protocol has no claim on being heard.
   */
  push(chunk: Buffer): unknown[] {
    if (this.#fault !== null) throw this.#fault;
    try {
      return this.#decode(chunk);
    } catch (thrown) {
      this.#fault = thrown instanceof Fault ? thrown : new Fault('bad_frame', 'malformed frame', { cause: thrown });
      this.#reset();
      throw this.#fault;
    }
  }

  #decode(chunk: Buffer): unknown[] {
    const values: unknown[] = [];
    let rest = chunk;
    if (this.#pendingBytes > 0) rest = this.#completePending(chunk, values);
    let at = 0;
    while (rest.length - at >= FRAME_HEADER_BYTES) {
      const frameBytes = this.#checkLength(rest.readUInt32LE(at)) + FRAME_HEADER_BYTES;
      if (rest.length - at < frameBytes) break;
      values.push(decodePayload(rest.subarray(at + FRAME_HEADER_BYTES, at + frameBytes)));
      at += frameBytes;
    }
    if (at < rest.length) this.#keep(rest.subarray(at));
    return values;
  }

  /** Finishes the frame that earlier chunks began; returns what of `chunk` lies behind it. */
  #completePending(chunk: Buffer, values: unknown[]): Buffer {
    let rest = chunk;
    if (this.#pendingBytes < FRAME_HEADER_BYTES) {
      const missing = Math.min(FRAME_HEADER_BYTES - this.#pendingBytes, rest.length);
      this.#keep(rest.subarray(0, missing));
      rest = rest.subarray(missing);
      if (this.#pendingBytes < FRAME_HEADER_BYTES) return rest;
    }
    if (this.#frameBytes === 0) {
      this.#frameBytes = this.#checkLength(this.#readPendingLength()) + FRAME_HEADER_BYTES;
    }
    const missing = this.#frameBytes - this.#pendingBytes;
    if (rest.length < missing) {
      this.#keep(rest);
      return rest.subarray(rest.length);
    }
    this.#chunks.push(rest.subarray(0, missing));
    const frame = Buffer.concat(this.#chunks, this.#frameBytes);
    this.#reset();
    values.push(decodePayload(frame.subarray(FRAME_HEADER_BYTES)));
    return rest.subarray(missing);
  }

  #checkLength(length: number): number {
    if (length > this.#bytesMax) {
      throw new Fault('frame_too_large', `frame of ${length} bytes; expected at most ${this.#bytesMax}`);
    }
    return length;
  }

  #readPendingLength(): number {
    const first = this.#chunks[0] as Buffer;
    if (first.length >= FRAME_HEADER_BYTES) return first.readUInt32LE(0);
    return Buffer.concat(this.#chunks.slice(0, FRAME_HEADER_BYTES)).readUInt32LE(0);
  }

  #keep(part: Buffer): void {
    if (part.length === 0) return;
    this.#pendingBytes += part.length;
    // The first piece stays where it is: most frames that span chunks span two, and need no block.
    if (part.length >= BLOCK_BYTES || this.#chunks.length === 0) {
      this.#chunks.push(part);
      this.#block = null;
      return;
    }
    let block = this.#block;
    if (block === null || block.length - this.#blockUsed < part.length) {
      block = Buffer.allocUnsafeSlow(BLOCK_BYTES);
      this.#block = block;
      this.#blockUsed = 0;
      this.#chunks.push(block);
    }
    part.copy(block, this.#blockUsed);
    this.#blockUsed += part.length;
    this.#chunks[this.#chunks.length - 1] = block.subarray(0, this.#blockUsed);
  }

  #reset(): void {
    this.#chunks = [];
    this.#pendingBytes = 0;
    this.#frameBytes = 0;
    this.#block = null;
    this.#blockUsed = 0;
  }
}
