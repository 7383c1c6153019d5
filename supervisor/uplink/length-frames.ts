import { Fault } from '../../abi/errno.js';

const HEADER_BYTES = 4;
const CAPACITY_BYTES_MIN = 4096;
/** A buffer larger than this is given back once it is empty. */
const CAPACITY_BYTES_KEPT = 64 * 1024;

/** The length before a frame: 4 bytes, big-endian (ABI reference section 7). */
export function encodeHeader(bodyBytes: number): Buffer {
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt32BE(bodyBytes);
  return header;
}

/**
 * Cuts a byte stream into frames, however it was cut on its way. Bytes are copied into one buffer that grows with what really
 * came, so that neither a stated length nor a million one-byte writes take more memory than the bytes themselves.
 */
export class LengthFrames {
  #bodyBytesMax: number;
  #buffer: Buffer = Buffer.alloc(0);
  #start = 0;
  #end = 0;

  constructor(bodyBytesMax: number) {
    this.#bodyBytesMax = bodyBytesMax;
  }

  get pendingBytes(): number {
    return this.#end - this.#start;
  }

  /** Bytes that the next frame's header states, or null while the header is not whole. */
  get statedBytes(): number | null {
    return this.pendingBytes < HEADER_BYTES ? null : this.#buffer.readUInt32BE(this.#start);
  }

  /** The next header states more than is allowed: no frame can follow. */
  get isOversize(): boolean {
    const stated = this.statedBytes;
    return stated !== null && stated > this.#bodyBytesMax;
  }

  get hasFrame(): boolean {
    const stated = this.statedBytes;
    return stated !== null && !this.isOversize && this.pendingBytes >= HEADER_BYTES + stated;
  }

  /** From now on frames may be this large. */
  allow(bodyBytesMax: number): void {
    this.#bodyBytesMax = bodyBytesMax;
  }

  push(chunk: Uint8Array): void {
    this.#makeRoom(chunk.length);
    this.#buffer.set(chunk, this.#end);
    this.#end += chunk.length;
  }

  /** The next whole frame's body, or null. Throws Fault too_large. */
  take(): Buffer | null {
    if (this.isOversize) throw new Fault('too_large', `a frame states more than ${this.#bodyBytesMax} bytes`);
    if (!this.hasFrame) return null;
    const from = this.#start + HEADER_BYTES;
    const body = Buffer.from(this.#buffer.subarray(from, from + this.statedBytes!));
    this.#start = from + body.length;
    if (this.#start === this.#end) this.#reset();
    return body;
  }

  /** Forgets everything. */
  clear(): void {
    this.#buffer = Buffer.alloc(0);
    this.#reset();
  }

  #reset(): void {
    this.#start = 0;
    this.#end = 0;
    if (this.#buffer.length > CAPACITY_BYTES_KEPT) this.#buffer = Buffer.alloc(0);
  }

  #makeRoom(bytes: number): void {
    const pending = this.pendingBytes;
    const needed = pending + bytes;
    if (this.#end + bytes <= this.#buffer.length) return;
    if (needed <= this.#buffer.length) this.#buffer.copyWithin(0, this.#start, this.#end);
    else {
      const grown = Buffer.allocUnsafeSlow(Math.max(needed, CAPACITY_BYTES_MIN, this.#buffer.length * 2));
      grown.set(this.#buffer.subarray(this.#start, this.#end));
      this.#buffer = grown;
    }
    this.#start = 0;
    this.#end = pending;
  }
}
