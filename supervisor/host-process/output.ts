/** Keeps the last bytes of a stream, the oldest lost. Bounded, however much is written. */
export class RingBuffer {
  readonly #bytesMax: number;
  #chunks: Buffer[] = [];
  #bytes = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  write(chunk: Buffer): void {
    const tail = chunk.length > this.#bytesMax ? chunk.subarray(chunk.length - this.#bytesMax) : chunk;
    this.#chunks.push(tail);
    this.#bytes += tail.length;
    while (this.#bytes > this.#bytesMax) this.#dropOldest(this.#bytes - this.#bytesMax);
    // Many tiny chunks would cost more than their bytes.
    if (this.#chunks.length > CHUNKS_MAX) this.#chunks = [Buffer.concat(this.#chunks)];
  }

  /** Everything since the last call, as lossy UTF-8. */
  take(): string {
    return this.takeBytes().toString('utf8');
  }

  takeBytes(): Buffer {
    const bytes = Buffer.concat(this.#chunks);
    this.#chunks = [];
    this.#bytes = 0;
    return bytes;
  }

  #dropOldest(excess: number): void {
    const [oldest] = this.#chunks;
    if (oldest === undefined) return;
    if (oldest.length <= excess) this.#chunks.shift();
    else this.#chunks[0] = oldest.subarray(excess);
    this.#bytes -= Math.min(excess, oldest.length);
  }
}

const CHUNKS_MAX = 256;

/** Keeps the beginning and the end of a stream, and says how much is missing between them. */
export class HeadAndTail {
  readonly #headMax: number;
  readonly #tail: RingBuffer;
  readonly #tailMax: number;
  #head: Buffer[] = [];
  #headBytes = 0;
  #tailBytes = 0;

  constructor(bytesMax: number) {
    this.#headMax = Math.floor(bytesMax / 2);
    this.#tailMax = bytesMax - this.#headMax;
    this.#tail = new RingBuffer(this.#tailMax);
  }

  write(chunk: Buffer): void {
    const head = chunk.subarray(0, this.#headMax - this.#headBytes);
    if (head.length > 0) this.#head.push(head);
    this.#headBytes += head.length;
    const rest = chunk.subarray(head.length);
    if (rest.length > 0) this.#tail.write(rest);
    this.#tailBytes += rest.length;
    if (this.#head.length > CHUNKS_MAX) this.#head = [Buffer.concat(this.#head)];
  }

  take(): string {
    const missing = this.#tailBytes - this.#tailMax;
    if (missing <= 0) return Buffer.concat([...this.#head, this.#tail.takeBytes()]).toString('utf8');
    const head = Buffer.concat(this.#head).toString('utf8');
    return `${head}\n[astrid: ${missing} bytes of output are left out here]\n${this.#tail.take()}`;
  }
}
