import { isAscii, isUtf8 } from 'node:buffer';
import { hash } from 'node:crypto';
import type { AuditEvent, Authorization } from '../audit-event.js';
import { Fault, type FaultCode } from '../errno.js';

/**
 * Canonical bytes of an `AuditEvent`. One event has exactly one encoding and one encoding has exactly one event, so a
 * hash over the bytes is a hash over the meaning. Numbers are little-endian.
 *
 *   0   u8      outcome, position in OUTCOMES
 *   1   u8      layer, position in LAYERS
 *   2   u8      flags, see FLAG; the bits that have no name are 0
 *   3   u48     time, ms since the epoch
 *   9   7 x u16 UTF-8 byte lengths of the texts, in the order of TEXTS; 0 for a text that is null
 *   23  32 B    argsHash, if flagged
 *       32 B    digest, then u48 count, if flagged as a summary
 *       texts, one after the other, well-formed UTF-8; the last one ends where the bytes end
 *
 * OUTCOMES, LAYERS and TEXTS are append-only: a position is on disk for ever.
 */
const OUTCOMES = ['accepted', 'done', 'failed', 'denied', 'summary'] as const;
const LAYERS = ['manifest', 'policy', 'token', 'budget', 'approval', 'audit', 'operator', 'system'] as const;

const FLAG = { session: 1, capsule: 2, ref: 4, argsHash: 8, summary: 16, deny: 32 } as const;
const FLAGS_ALL = 63;

const TIME_AT = 3;
const LENGTHS_AT = 9;
export const EVENT_FIXED_BYTES = 23;
const HASH_BYTES = 32;
const U48_MAX = 2 ** 48 - 1;
const UTF8_BYTES_PER_CHAR_MAX = 3;

interface TextRow {
  readonly field: string;
  /** The flag that tells a text from null; 0 for a text that is never null. */
  readonly flag: number;
  readonly charsMin: number;
  readonly charsMax: number;
  readonly read: (event: AuditEvent) => string | null;
}

const TEXTS: readonly TextRow[] = [
  { field: 'session', flag: FLAG.session, charsMin: 0, charsMax: 128, read: (event) => event.session },
  { field: 'principal', flag: 0, charsMin: 1, charsMax: 256, read: (event) => event.principal },
  { field: 'capsule', flag: FLAG.capsule, charsMin: 0, charsMax: 256, read: (event) => event.capsule },
  { field: 'action', flag: 0, charsMin: 1, charsMax: 128, read: (event) => event.action },
  { field: 'resource', flag: 0, charsMin: 0, charsMax: 1024, read: (event) => event.resource },
  { field: 'authorization.reason', flag: 0, charsMin: 0, charsMax: 1024, read: (e) => e.authorization.reason },
  { field: 'authorization.ref', flag: FLAG.ref, charsMin: 0, charsMax: 256, read: (e) => e.authorization.ref },
];

const FREE_TEXT_CHARS_MAX = 1024;

/** No event is longer than this, in bytes. */
export const EVENT_BYTES_MAX = TEXTS.reduce(
  (bytes, row) => bytes + row.charsMax * UTF8_BYTES_PER_CHAR_MAX,
  EVENT_FIXED_BYTES + 2 * HASH_BYTES + 6,
);

const LONE_SURROGATE = /\p{Cs}/u;

/** Up to so many characters a loop beats the call into native code, which costs more than all else that an event does. */
const SHORT_CHARS_MAX = 64;

/** Reused by every call: events are encoded whole and copied out, or hashed, before anything else can run. */
const scratch = Buffer.allocUnsafeSlow(EVENT_BYTES_MAX);

function fail(code: FaultCode, field: string, expected: string): never {
  throw new Fault(code, `audit event: ${field}: expected ${expected}`, { field });
}

/**
 * The canonical bytes. Throws Fault `invalid_argument` with the field's name for anything that `AuditEvent` does not
 * allow: a text too long or with a lone surrogate (which UTF-8 would silently merge with others), a hash that is not
 * 64 lower-case hex digits, a count or digest without `summary`, or `summary` without them.
 */
export function encodeEvent(event: AuditEvent): Buffer {
  return Buffer.from(encodeInScratch(event));
}

function encodeInScratch(event: AuditEvent): Buffer {
  const summary = event.outcome === 'summary';
  scratch[0] = codeOf(OUTCOMES, event.outcome, 'outcome');
  scratch[1] = codeOf(LAYERS, event.authorization.layer, 'authorization.layer');
  writeU48(TIME_AT, event.time, 0, 'time');
  let at = EVENT_FIXED_BYTES;
  let flags = summary ? FLAG.summary : 0;
  if (event.authorization.verdict === 'deny') flags |= FLAG.deny;
  else if (event.authorization.verdict !== 'allow') {
    fail('invalid_argument', 'authorization.verdict', '"allow" or "deny"');
  }
  if (event.argsHash !== null) {
    flags |= FLAG.argsHash;
    at = writeHash(at, event.argsHash, 'argsHash');
  }
  if (summary) {
    at = writeHash(at, event.digest, 'digest');
    at = writeU48(at, event.count, 1, 'count');
  } else if (event.count !== null || event.digest !== null) {
    fail('invalid_argument', event.count === null ? 'digest' : 'count', 'null unless the outcome is "summary"');
  }
  for (let position = 0; position < TEXTS.length; position += 1) {
    const row = TEXTS[position] as TextRow;
    const text = row.read(event);
    if (text !== null && row.flag !== 0) flags |= row.flag;
    const bytes = text === null && row.flag !== 0 ? 0 : writeText(at, text, row);
    scratch.writeUInt16LE(bytes, LENGTHS_AT + 2 * position);
    at += bytes;
  }
  scratch[2] = flags;
  return scratch.subarray(0, at);
}

function codeOf(names: readonly string[], name: unknown, field: string): number {
  const code = names.indexOf(name as string);
  if (code < 0) fail('invalid_argument', field, `one of ${names.join(', ')}`);
  return code;
}

function writeU48(at: number, value: number | null, min: number, field: string): number {
  if (value === null || !Number.isInteger(value) || value < min || value > U48_MAX) {
    fail('invalid_argument', field, `a whole number from ${min} to ${U48_MAX}`);
  }
  return scratch.writeUIntLE(value, at, 6);
}

function writeHash(at: number, hex: string | null, field: string): number {
  const ok = typeof hex === 'string' && hex.length === 2 * HASH_BYTES && writeHex(scratch, at, hex);
  if (!ok) fail('invalid_argument', field, '64 lower-case hex digits');
  return at + HASH_BYTES;
}

/** False if a character is no lower-case hex digit; what was written then means nothing. */
export function writeHex(target: Buffer, at: number, hex: string): boolean {
  for (let index = 0; index < hex.length; index += 2) {
    const byte = (hexDigit(hex.charCodeAt(index)) << 4) | hexDigit(hex.charCodeAt(index + 1));
    if (byte < 0) return false;
    target[at + (index >> 1)] = byte;
  }
  return true;
}

/** Negative for anything else, so that two of them joined are negative, too. */
function hexDigit(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  return code >= 0x61 && code <= 0x66 ? code - 0x57 : -1;
}

function writeText(at: number, text: unknown, row: TextRow): number {
  const ok = typeof text === 'string' && text.length >= row.charsMin && text.length <= row.charsMax;
  if (!ok) fail('invalid_argument', row.field, `a text of ${row.charsMin} to ${row.charsMax} characters`);
  if (text.length <= SHORT_CHARS_MAX && writeAscii(at, text)) return text.length;
  const bytes = scratch.write(text, at, 'utf8');
  // As many bytes as characters means ASCII, which holds no surrogate.
  if (bytes !== text.length && LONE_SURROGATE.test(text)) fail('invalid_argument', row.field, 'well-formed Unicode');
  return bytes;
}

/** False if a character is not ASCII. */
function writeAscii(at: number, text: string): boolean {
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index);
    if (code >= 0x80) return false;
    scratch[at + index] = code;
  }
  return true;
}

/** The event whose canonical bytes are `bytes` from `start` to the end. Throws Fault `bad_log` naming the field. */
export function decodeEvent(bytes: Buffer, start: number): AuditEvent {
  if (bytes.length - start < EVENT_FIXED_BYTES) fail('bad_log', 'length', `at least ${EVENT_FIXED_BYTES} bytes`);
  const outcome = OUTCOMES[bytes[start] as number] ?? fail('bad_log', 'outcome', 'a known code');
  const layer = LAYERS[bytes[start + 1] as number] ?? fail('bad_log', 'authorization.layer', 'a known code');
  const flags = bytes[start + 2] as number;
  if (flags > FLAGS_ALL) fail('bad_log', 'flags', 'no unknown bit');
  const summary = (flags & FLAG.summary) !== 0;
  if (summary !== (outcome === 'summary')) fail('bad_log', 'flags', 'count and digest with "summary" only');
  let at = start + EVENT_FIXED_BYTES;
  const takeHash = (): string => {
    at += HASH_BYTES;
    return bytes.toString('hex', at - HASH_BYTES, at);
  };
  const textsAt = at + (flags & FLAG.argsHash ? HASH_BYTES : 0) + (summary ? HASH_BYTES + 6 : 0);
  if (bytes.length < textsAt) fail('bad_log', 'length', 'room for the flagged hashes');
  const argsHash = flags & FLAG.argsHash ? takeHash() : null;
  const digest = summary ? takeHash() : null;
  const count = summary ? bytes.readUIntLE(at, 6) : null;
  if (count === 0) fail('bad_log', 'count', 'at least 1');
  const texts = decodeTexts(bytes, start, textsAt, flags);
  const [session, principal, capsule, action, resource, reason, ref] = texts as [
    string | null,
    string,
    string | null,
    string,
    string,
    string,
    string | null,
  ];
  const verdict: Authorization['verdict'] = flags & FLAG.deny ? 'deny' : 'allow';
  const authorization: Authorization = { layer, verdict, reason, ref };
  const time = bytes.readUIntLE(start + TIME_AT, 6);
  return { time, session, principal, capsule, action, resource, argsHash, authorization, outcome, count, digest };
}

function decodeTexts(bytes: Buffer, start: number, textsAt: number, flags: number): (string | null)[] {
  const texts: (string | null)[] = [];
  const ascii = isAscii(bytes.subarray(textsAt));
  let at = textsAt;
  for (let position = 0; position < TEXTS.length; position += 1) {
    const row = TEXTS[position] as TextRow;
    const length = bytes.readUInt16LE(start + LENGTHS_AT + 2 * position);
    if (row.flag !== 0 && (flags & row.flag) === 0) {
      if (length !== 0) fail('bad_log', row.field, 'no bytes for a null text');
      texts.push(null);
      continue;
    }
    const end = at + length;
    if (end > bytes.length) fail('bad_log', row.field, 'a length inside the entry');
    // Each text alone must be UTF-8: a character cut by a border between two texts would decode to something else.
    if (!ascii && !isUtf8(bytes.subarray(at, end))) fail('bad_log', row.field, 'UTF-8');
    const text = bytes.toString(ascii ? 'latin1' : 'utf8', at, end);
    if (text.length < row.charsMin || text.length > row.charsMax) {
      fail('bad_log', row.field, `${row.charsMin} to ${row.charsMax} characters`);
    }
    texts.push(text);
    at = end;
  }
  if (at !== bytes.length) fail('bad_log', 'length', 'no bytes after the last text');
  return texts;
}

/** SHA-256 of the canonical bytes, in hex: what a summary's digest runs over. */
export function digestEvent(event: AuditEvent): string {
  return hash('sha256', encodeInScratch(event));
}

/**
 * The event with its two free texts (resource, reason) cut to what an entry holds. A capsule chooses how long a path is,
 * so a long one must not make its action unloggable. What is cut is still bound: the text ends in a hash of the whole.
 */
export function fitEvent(event: AuditEvent): AuditEvent {
  const resource = fitText(event.resource);
  const reason = fitText(event.authorization.reason);
  if (resource === event.resource && reason === event.authorization.reason) return event;
  return { ...event, resource, authorization: { ...event.authorization, reason } };
}

function fitText(text: string): string {
  const wellFormed = LONE_SURROGATE.test(text) ? text.replace(/\p{Cs}/gu, '\ufffd') : text;
  if (wellFormed.length <= FREE_TEXT_CHARS_MAX) return wellFormed;
  const tail = `…#${hash('sha256', wellFormed).slice(0, 16)}`;
  const kept = wellFormed.slice(0, FREE_TEXT_CHARS_MAX - tail.length);
  // The cut may have split a surrogate pair; its lone first half would not be encodable.
  return (LONE_SURROGATE.test(kept) ? kept.slice(0, -1) : kept) + tail;
}
