import { blake3 } from '@noble/hashes/blake3.js';
import type { AuditEvent } from '../audit-event.js';
import { Fault } from '../errno.js';
import { decodeEvent, EVENT_FIXED_BYTES, encodeEvent } from './event.js';

/**
 * One entry of the log: an event, its place, and two links. Canonical bytes (numbers little-endian):
 *
 *   0   u8    version, 1
 *   1   u8    links: 1 if both links are the same, which is then written once; 0 if not
 *   2   u48   index, from 0
 *   8   32 B  BLAKE3 of the previous entry's bytes; GENESIS_HASH at index 0
 *       32 B  BLAKE3 of this principal's previous entry's bytes, if links is 0; GENESIS_HASH at its first
 *       the event, see event.ts
 *
 * Most entries follow one of their own principal. Writing that link once makes a typical one three BLAKE3 blocks long instead of four.
 */
export interface AuditEntry {
  readonly index: number;
  readonly previous: Buffer;
  readonly previousOfPrincipal: Buffer;
  readonly event: AuditEvent;
}

export const HASH_BYTES = 32;
/** Stands where there is no entry to link to. No entry hashes to it, short of breaking BLAKE3. */
export const GENESIS_HASH: Buffer = Buffer.alloc(HASH_BYTES);

const VERSION = 1;
const LINKS = { apart: 0, same: 1 } as const;
const INDEX_AT = 2;
const PREVIOUS_AT = 8;
const PREVIOUS_END = PREVIOUS_AT + HASH_BYTES;
/** Links that are the same and the fixed part of an event. */
const ENTRY_BYTES_MIN = PREVIOUS_END + EVENT_FIXED_BYTES;
const INDEX_MAX = 2 ** 48 - 1;

/** Canonical bytes. Throws Fault `invalid_argument` naming the field. */
export function encodeEntry(entry: AuditEntry): Buffer {
  return joinEntry(entry.index, entry.previous, entry.previousOfPrincipal, encodeEvent(entry.event));
}

/** As `encodeEntry`, for an event that is already canonical bytes. */
export function joinEntry(index: number, previous: Buffer, previousOfPrincipal: Buffer, event: Buffer): Buffer {
  if (!Number.isInteger(index) || index < 0 || index > INDEX_MAX) {
    throw new Fault('invalid_argument', `audit entry: index: expected 0 to ${INDEX_MAX}`, { field: 'index' });
  }
  checkLink(previous, 'previous');
  checkLink(previousOfPrincipal, 'previousOfPrincipal');
  const same = previous.equals(previousOfPrincipal);
  const eventAt = same ? PREVIOUS_END : PREVIOUS_END + HASH_BYTES;
  const bytes = Buffer.allocUnsafe(eventAt + event.length);
  bytes[0] = VERSION;
  bytes[1] = same ? LINKS.same : LINKS.apart;
  bytes.writeUIntLE(index, INDEX_AT, 6);
  previous.copy(bytes, PREVIOUS_AT);
  if (!same) previousOfPrincipal.copy(bytes, PREVIOUS_END);
  event.copy(bytes, eventAt);
  return bytes;
}

function checkLink(link: Buffer, field: string): void {
  if (link.length === HASH_BYTES) return;
  throw new Fault('invalid_argument', `audit entry: ${field}: expected ${HASH_BYTES} bytes`, { field });
}

function bad(field: string, expected: string): never {
  throw new Fault('bad_log', `audit entry: ${field}: expected ${expected}`, { field });
}

/**
 * The entry with these canonical bytes. The links are views of `bytes`. Throws Fault `bad_log` naming the field for
 * every byte string that `encodeEntry` does not make.
 */
export function decodeEntry(bytes: Buffer): AuditEntry {
  if (bytes.length < ENTRY_BYTES_MIN) bad('length', `at least ${ENTRY_BYTES_MIN} bytes`);
  if (bytes[0] !== VERSION) bad('version', String(VERSION));
  const links = bytes[1];
  if (links !== LINKS.same && links !== LINKS.apart) bad('links', '0 or 1');
  const previous = bytes.subarray(PREVIOUS_AT, PREVIOUS_END);
  const eventAt = links === LINKS.same ? PREVIOUS_END : PREVIOUS_END + HASH_BYTES;
  const previousOfPrincipal = links === LINKS.same ? previous : bytes.subarray(PREVIOUS_END, eventAt);
  // The long form of equal links would be a second encoding of the same entry.
  if (links === LINKS.apart && previous.equals(previousOfPrincipal)) bad('links', '1 for equal links');
  return {
    index: bytes.readUIntLE(INDEX_AT, 6),
    previous,
    previousOfPrincipal,
    event: decodeEvent(bytes, eventAt),
  };
}

/** BLAKE3 of an entry's canonical bytes: what the next entry, and this principal's next, link to. */
export function hashEntry(bytes: Buffer): Buffer {
  const digest = Buffer.allocUnsafe(HASH_BYTES);
  blake3.create().update(bytes).digestInto(digest);
  return digest;
}
