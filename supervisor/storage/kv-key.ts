import { createHash } from 'node:crypto';
import { Fault } from '../../abi/errno.js';
import { LIMITS } from '../../abi/limits.js';

/**
 * How a key of a capsule becomes a key of the database (lmdb-js takes at most 1,978 bytes).
 *
 *   short, up to 1,024 bytes:  principal ␀ capsule ␀ key                                value = value
 *   long:                      principal ␀ capsule ␀ first 1,024 bytes ␀ SHA-256(key)   value = u16 length, key, value
 *
 * A key holds no NUL, so the two forms cannot meet, and no name holds one, so no namespace is a prefix of another.
 * All long keys with the same first 1,024 bytes lie together, directly after the short key that equals those bytes.
 */
export const INLINE_KEY_BYTES_MAX = 1024;
const NAME_BYTES_MAX = 128;
const NUL = Buffer.from([0]);
/** Greater than any byte that can follow in a key: UTF-8 uses none above 0xF4. */
const AFTER_ANY = Buffer.from([0xff]);
const AFTER_NUL = Buffer.from([1]);
const LONE_SURROGATE = /\p{Surrogate}/u;
const EXPECTED = `expected at most ${LIMITS.keyBytesMax} bytes of UTF-8 without NUL`;

/** One key in the form it is stored under. `full` is null for a short key. */
export interface StoredKey {
  readonly physical: Buffer;
  readonly full: Buffer | null;
}

/** `principal ␀ capsule ␀`, after checking both names. */
export function encodeNamespace(principal: string, capsule: string): Buffer {
  checkName('principal', principal);
  checkName('capsule', capsule);
  return Buffer.from(`${principal}\0${capsule}\0`);
}

export function encodeKey(namespace: Buffer, key: string): StoredKey {
  const bytes = encodeText('key', key);
  if (bytes.length === 0)
    throw new Fault('invalid_argument', 'the key is empty, expected 1 to 4096 bytes', { field: 'key' });
  if (bytes.length <= INLINE_KEY_BYTES_MAX) return { physical: Buffer.concat([namespace, bytes]), full: null };
  const head = bytes.subarray(0, INLINE_KEY_BYTES_MAX);
  return { physical: Buffer.concat([namespace, head, NUL, sha256(bytes)]), full: bytes };
}

/** The physical keys that can belong to keys starting with `prefix`. For a long prefix it holds others too. */
export function rangeOfPrefix(namespace: Buffer, prefix: Buffer): { start: Buffer; end: Buffer } {
  if (prefix.length <= INLINE_KEY_BYTES_MAX) {
    const start = Buffer.concat([namespace, prefix]);
    return { start, end: Buffer.concat([start, AFTER_ANY]) };
  }
  const head = prefix.subarray(0, INLINE_KEY_BYTES_MAX);
  return { start: Buffer.concat([namespace, head, NUL]), end: Buffer.concat([namespace, head, AFTER_NUL]) };
}

export function encodePrefix(prefix: string): Buffer {
  return encodeText('prefix', prefix);
}

/** True when the physical key is of the long form, so that its value starts with the full key. */
export function isLongForm(namespace: Buffer, physical: Buffer): boolean {
  return physical.length > namespace.length + INLINE_KEY_BYTES_MAX;
}

export function packLongValue(full: Buffer, value: Uint8Array): Buffer {
  const length = Buffer.alloc(2);
  length.writeUInt16LE(full.length);
  return Buffer.concat([length, full, value]);
}

export function unpackLongValue(stored: Buffer): { full: Buffer; value: Buffer } {
  const end = 2 + stored.readUInt16LE(0);
  return { full: stored.subarray(2, end), value: stored.subarray(end) };
}

function encodeText(field: string, text: string): Buffer {
  if (text.includes('\0')) throw new Fault('invalid_argument', `the ${field} holds a NUL, ${EXPECTED}`, { field });
  const bytes = Buffer.from(text);
  // Encoding would turn each lone surrogate into the same replacement character: two keys would become one. ASCII has none.
  if (bytes.length !== text.length && LONE_SURROGATE.test(text)) {
    throw new Fault('invalid_argument', `the ${field} is not well-formed Unicode, ${EXPECTED}`, { field });
  }
  if (bytes.length > LIMITS.keyBytesMax) {
    throw new Fault('too_large', `the ${field} has ${bytes.length} bytes, ${EXPECTED}`, { field });
  }
  return bytes;
}

function checkName(field: string, name: string): void {
  if (name.length === 0 || name.length > NAME_BYTES_MAX || !/^[\x21-\x7e]+$/.test(name)) {
    throw new Fault(
      'invalid_argument',
      `the ${field} is not a name of 1 to ${NAME_BYTES_MAX} printable ASCII characters`,
      {
        field,
      },
    );
  }
}

function sha256(bytes: Buffer): Buffer {
  return createHash('sha256').update(bytes).digest();
}
