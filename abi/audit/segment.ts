import { crc32 } from 'node:zlib';
import { Fault } from '../errno.js';

/**
 * A segment file is a row of records. A record is a 12-byte header and a payload; numbers are little-endian:
 *
 *   0   u8   type
 *   1   u24  length of the payload in bytes
 *   4   u32  CRC-32 of the payload
 *   8   u32  CRC-32 of the 8 bytes before
 *
 * The checksums find decay and torn writes; against people there are the hashes and the signature. The header has its own so
 * that a damaged length is told from a record that was cut short: only a header that is whole may claim more bytes.
 *
 * A segment begins with one `segment` record and, when it was closed, ends with a `checkpoint` record.
 */
export const RECORD = { segment: 1, entry: 2, checkpoint: 3 } as const;
export type RecordType = (typeof RECORD)[keyof typeof RECORD];

export const RECORD_HEADER_BYTES = 12;

const KIB = 1024;
/** Largest payload of each type in bytes, checked before memory is taken. */
const PAYLOAD_BYTES_MAX: Readonly<Record<number, number>> = {
  [RECORD.segment]: 12 * KIB * KIB,
  [RECORD.entry]: 16 * KIB,
  [RECORD.checkpoint]: 4 * KIB,
};

export interface SegmentRecord {
  readonly type: RecordType;
  /** A view of what was pushed, or of a private buffer for a payload that came in pieces. */
  readonly payload: Buffer;
  /** Where the record's header begins, in bytes from the start of the segment. */
  readonly offset: number;
}

export function encodeRecord(type: RecordType, payload: Buffer): Buffer {
  if (payload.length > (PAYLOAD_BYTES_MAX[type] ?? 0)) {
    throw new Fault('too_large', `log record of type ${type}: ${payload.length} bytes`, { field: 'length' });
  }
  const record = Buffer.allocUnsafe(RECORD_HEADER_BYTES + payload.length);
  record[0] = type;
  record.writeUIntLE(payload.length, 1, 3);
  record.writeUInt32LE(crc32(payload), 4);
  record.writeUInt32LE(crc32(record.subarray(0, 8)), 8);
  payload.copy(record, RECORD_HEADER_BYTES);
  return record;
}

interface Header {
  readonly type: RecordType;
  readonly length: number;
  readonly checksum: number;
}

function bad(field: string, expected: string): never {
  throw new Fault('bad_log', `log record: ${field}: expected ${expected}`, { field });
}

/** The header at `at`; there must be 12 bytes. Throws Fault `bad_log`. */
function decodeHeader(bytes: Buffer, at: number): Header {
  if (crc32(bytes.subarray(at, at + 8)) !== bytes.readUInt32LE(at + 8)) bad('header', 'its checksum');
  const type = bytes[at] as RecordType;
  const length = bytes.readUIntLE(at + 1, 3);
  const bytesMax = PAYLOAD_BYTES_MAX[type];
  if (bytesMax === undefined) bad('type', 'a known record type');
  if (length > bytesMax) bad('length', `at most ${bytesMax}`);
  return { type, length, checksum: bytes.readUInt32LE(at + 4) };
}

/**
 * Bytes of one segment in, whole records out; no I/O. At the first bad record it stops for good: `fault` says what is wrong
 * and `offset` where. Records before it, also of the same chunk, are handed out.
 */
export class SegmentReader {
  #rest: Buffer = Buffer.alloc(0);
  #chunks: Buffer[] = [];
  #chunkBytes = 0;
  /** Bytes needed before another try makes sense: no record is joined and looked at twice per chunk. */
  #wanted = RECORD_HEADER_BYTES;
  #offset = 0;
  #fault: Fault | null = null;

  /** Where the next record begins, or the bad or unfinished one. */
  get offset(): number {
    return this.#offset;
  }

  get fault(): Fault | null {
    return this.#fault;
  }

  /** Bytes of a record that has begun and is not complete. At the end of a segment: a torn tail. */
  get pendingBytes(): number {
    return this.#rest.length + this.#chunkBytes;
  }

  push(chunk: Buffer): SegmentRecord[] {
    if (this.#fault !== null) return [];
    this.#chunks.push(chunk);
    this.#chunkBytes += chunk.length;
    if (this.pendingBytes < this.#wanted) return [];
    const bytes = this.#rest.length === 0 && this.#chunks.length === 1 ? chunk : this.#join();
    this.#chunks = [];
    this.#chunkBytes = 0;
    const records: SegmentRecord[] = [];
    let at = 0;
    try {
      at = this.#decode(bytes, records);
    } catch (thrown) {
      if (!(thrown instanceof Fault)) throw thrown;
      this.#fault = thrown;
      at = bytes.length;
    }
    this.#rest = bytes.subarray(at);
    return records;
  }

  #join(): Buffer {
    return Buffer.concat([this.#rest, ...this.#chunks]);
  }

  #decode(bytes: Buffer, records: SegmentRecord[]): number {
    let at = 0;
    this.#wanted = RECORD_HEADER_BYTES;
    while (bytes.length - at >= RECORD_HEADER_BYTES) {
      const header = decodeHeader(bytes, at);
      const size = RECORD_HEADER_BYTES + header.length;
      if (bytes.length - at < size) {
        this.#wanted = size;
        break;
      }
      const payload = bytes.subarray(at + RECORD_HEADER_BYTES, at + size);
      if (crc32(payload) !== header.checksum) bad('payload', 'its checksum');
      records.push({ type: header.type, payload, offset: this.#offset });
      at += size;
      this.#offset += size;
    }
    return at;
  }
}

/**
 * Looks for whole checkpoint records behind a place where the reader stopped. Recovery asks this before it calls a bad end
 * torn: a checkpoint behind the damage means that acknowledged entries are damaged, and those are never cut.
 */
export function* findCheckpoints(bytes: Buffer): Generator<SegmentRecord> {
  for (let at = bytes.indexOf(RECORD.checkpoint); at >= 0; at = bytes.indexOf(RECORD.checkpoint, at + 1)) {
    if (bytes.length - at < RECORD_HEADER_BYTES) return;
    const length = bytes.readUIntLE(at + 1, 3);
    const end = at + RECORD_HEADER_BYTES + length;
    if (length > (PAYLOAD_BYTES_MAX[RECORD.checkpoint] ?? 0) || end > bytes.length) continue;
    const payload = bytes.subarray(at + RECORD_HEADER_BYTES, end);
    const whole =
      crc32(bytes.subarray(at, at + 8)) === bytes.readUInt32LE(at + 8) && crc32(payload) === bytes.readUInt32LE(at + 4);
    if (whole) yield { type: RECORD.checkpoint, payload, offset: at };
  }
}
