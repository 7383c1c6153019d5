import { isUtf8 } from 'node:buffer';
import { Fault } from '../errno.js';
import { HASH_BYTES } from './entry.js';

/**
 * The first record of a segment: the state of the chain at its start, so that the auditor continues after a restart by reading
 * one segment instead of all. Nothing is believed because it stands here: a verifier compares it with what it computed.
 *
 *   0   u8    version, 1
 *   1   u48   index of the first entry
 *   7   32 B  BLAKE3 of the entry before it
 *   39  u16   length of the origin, then the origin
 *       u32   number of principals, then each, sorted by name: u16 length, name, 32 B BLAKE3 of its last entry
 */
export interface SegmentHead {
  readonly firstIndex: number;
  readonly previous: Buffer;
  readonly origin: string;
  /** Last entry hash by principal. */
  readonly principals: ReadonlyMap<string, Buffer>;
}

/** A log serves at most this many principals: their heads are repeated in every segment and must stay in memory. */
export const PRINCIPALS_MAX = 10_000;

const VERSION = 1;
const ORIGIN_AT = 39;
const NAME = /^segment-([0-9]{15})\.log$/;

/** `segment-000000000012345.log`: sorting the names sorts the segments. */
export function formatSegmentName(firstIndex: number): string {
  return `segment-${String(firstIndex).padStart(15, '0')}.log`;
}

/** The first index that a file name promises, or null if it is no segment's name. */
export function parseSegmentName(name: string): number | null {
  const match = NAME.exec(name);
  return match === null ? null : Number(match[1]);
}

function encodeName(name: string): Buffer {
  const bytes = Buffer.from(name);
  const length = Buffer.alloc(2);
  length.writeUInt16LE(bytes.length);
  return Buffer.concat([length, bytes]);
}

export function encodeSegmentHead(head: SegmentHead): Buffer {
  const fixed = Buffer.alloc(ORIGIN_AT);
  fixed[0] = VERSION;
  fixed.writeUIntLE(head.firstIndex, 1, 6);
  head.previous.copy(fixed, 7);
  const count = Buffer.alloc(4);
  count.writeUInt32LE(head.principals.size);
  const parts = [fixed, encodeName(head.origin), count];
  for (const name of [...head.principals.keys()].sort()) {
    parts.push(encodeName(name), head.principals.get(name) as Buffer);
  }
  return Buffer.concat(parts);
}

function bad(field: string, expected: string): never {
  throw new Fault('bad_log', `segment head: ${field}: expected ${expected}`, { field });
}

/** Throws Fault `bad_log` naming the field for every byte string that `encodeSegmentHead` does not make. */
export function decodeSegmentHead(bytes: Buffer): SegmentHead {
  if (bytes.length < ORIGIN_AT) bad('length', `at least ${ORIGIN_AT} bytes`);
  if (bytes[0] !== VERSION) bad('version', String(VERSION));
  let at = ORIGIN_AT;
  const take = (length: number, field: string): Buffer => {
    if (bytes.length - at < length) bad(field, 'bytes inside the record');
    at += length;
    return bytes.subarray(at - length, at);
  };
  const takeName = (field: string): string => {
    const name = take(take(2, field).readUInt16LE(), field);
    if (!isUtf8(name)) bad(field, 'UTF-8');
    return name.toString('utf8');
  };
  const origin = takeName('origin');
  const count = take(4, 'principals').readUInt32LE();
  if (count > PRINCIPALS_MAX) bad('principals', `at most ${PRINCIPALS_MAX}`);
  const principals = new Map<string, Buffer>();
  let last: string | null = null;
  for (let done = 0; done < count; done += 1) {
    const name = takeName('principals');
    if (last !== null && name <= last) bad('principals', 'sorted names without repeats');
    principals.set(name, take(HASH_BYTES, 'principals'));
    last = name;
  }
  if (at !== bytes.length) bad('length', 'no bytes after the last principal');
  return { firstIndex: bytes.readUIntLE(1, 6), previous: bytes.subarray(7, ORIGIN_AT), origin, principals };
}
