import { Fault } from '../errno.js';

/** V8 takes names up to 100,000 bytes; no honest import or export comes near this. */
const NAME_BYTES_MAX = 4096;

/** `ignoreBOM` keeps a leading U+FEFF: dropping it would make a name equal here that is different for the engine. */
const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * A cursor over one section of a module. Every read is checked against the section's end before it touches a byte,
 * and every failure is a Fault `bad_module` that names the section and the byte offset in the file.
 */
export class ByteReader {
  readonly bytes: Uint8Array;
  readonly end: number;
  readonly section: string;
  offset: number;

  constructor(bytes: Uint8Array, start: number, end: number, section: string) {
    this.bytes = bytes;
    this.offset = start;
    this.end = end;
    this.section = section;
  }

  get remaining(): number {
    return this.end - this.offset;
  }

  fail(message: string, offset = this.offset): never {
    throw new Fault('bad_module', `module: ${this.section}, byte ${offset}: ${message}`, { field: this.section });
  }

  readByte(what: string): number {
    const byte = this.offset < this.end ? this.bytes[this.offset] : undefined;
    if (byte === undefined) this.fail(`ends inside ${what}`);
    this.offset += 1;
    return byte;
  }

  /** LEB128, at most five bytes, no bit above the 32nd. Padding within five bytes is legal and linkers emit it. */
  readU32(what: string): number {
    const start = this.offset;
    let value = 0;
    for (let index = 0; index < 5; index++) {
      const byte = this.readByte(what);
      if (index === 4 && byte > 0x0f) this.fail(`${what} is longer or larger than 32 bits`, start);
      value += (byte & 0x7f) * 2 ** (7 * index);
      if (byte < 0x80) return value;
    }
    return this.fail(`${what} is longer than five bytes`, start);
  }

  /** LEB128 of a 64-bit limit. Exact below 2^53, which is above anything that could be accepted. */
  readU64(what: string): number {
    const start = this.offset;
    let value = 0;
    for (let index = 0; index < 10; index++) {
      const byte = this.readByte(what);
      if (index === 9 && byte > 0x01) this.fail(`${what} is longer or larger than 64 bits`, start);
      value += (byte & 0x7f) * 2 ** (7 * index);
      if (byte < 0x80) return value;
    }
    return this.fail(`${what} is longer than ten bytes`, start);
  }

  /**
   * The length of a list. `countMax` bounds what we build from it; `entryBytesMin` exposes a length that lies,
   * before a single entry is read.
   */
  readCount(what: string, countMax: number, entryBytesMin: number): number {
    const start = this.offset;
    const count = this.readU32(`the number of ${what}`);
    if (count > countMax) this.fail(`${count} ${what}, at most ${countMax} are accepted`, start);
    if (count * entryBytesMin > this.remaining) {
      this.fail(`${count} ${what} do not fit the ${this.remaining} bytes left`, start);
    }
    return count;
  }

  /** A length and that many bytes; returns the offset of the first one. */
  skipSized(what: string): number {
    const lengthAt = this.offset;
    const length = this.readU32(`the length of ${what}`);
    if (length > this.remaining) this.fail(`${what} claims ${length} bytes, ${this.remaining} are left`, lengthAt);
    const start = this.offset;
    this.offset += length;
    return start;
  }

  readName(what: string): string {
    const at = this.offset;
    const start = this.skipSized(what);
    const length = this.offset - start;
    if (length > NAME_BYTES_MAX) this.fail(`${what} has ${length} bytes, at most ${NAME_BYTES_MAX} are accepted`, at);
    try {
      return UTF8.decode(this.bytes.subarray(start, this.offset));
    } catch {
      return this.fail(`${what} is not UTF-8`, at);
    }
  }

  /** A section that holds more than its entries hides bytes from one of two readers. */
  requireEnd(): void {
    if (this.remaining > 0) this.fail(`${this.remaining} bytes left over after the last entry`);
  }
}
