import { Fault } from '../abi/errno.js';
import { LIMITS } from '../abi/limits.js';

/**
 * Writes one value as MessagePack in two passes: measure, then fill a buffer of exactly that size. So a large payload
 * is copied once, nothing is retained between calls, and whatever the reader on the other side would refuse is refused
 * here, where the mistake is, instead of ending the connection there.
 *
 * Values: null, booleans, numbers, strings, Uint8Array (as `bin`), arrays, plain objects. As in JSON, NaN and
 * infinities become null, an undefined member is left out, an undefined element becomes null, and -0 is 0. A lone
 * surrogate becomes U+FFFD: the wire carries valid UTF-8 only.
 */

/** Below this many characters a loop beats the call into native code. */
const SHORT_CHARS_MAX = 24;

/** Bytes that `writeValue` needs. Throws Fault `internal` for what cannot be sent. */
export function measureValue(value: unknown): number {
  return measure(value, 0);
}

function measure(value: unknown, depth: number): number {
  switch (typeof value) {
    case 'string': {
      const bytes = measureText(value);
      return headerBytes(bytes, 32, true) + bytes;
    }
    case 'number':
      return measureNumber(value);
    case 'boolean':
    case 'undefined':
      return 1;
    case 'object':
      return value === null ? 1 : measureObject(value, depth);
    default:
      throw refuse(`a ${typeof value}`);
  }
}

function measureObject(value: object, depth: number): number {
  if (value instanceof Uint8Array) return headerBytes(value.length, 0, true) + value.length;
  if (depth >= LIMITS.frameDepthMax) throw refuse(`nested deeper than ${LIMITS.frameDepthMax}`);
  if (Array.isArray(value)) {
    let bytes = headerBytes(value.length, 16, false);
    for (let i = 0; i < value.length; i++) bytes += measure(value[i], depth + 1);
    return bytes;
  }
  // A Date or a Map would arrive as an empty map; better to hear of it at the sender.
  const proto: unknown = Object.getPrototypeOf(value);
  if (proto !== Object.prototype && proto !== null) throw refuse('an instance of a class');
  const record = value as Record<string, unknown>;
  let bytes = 0;
  let members = 0;
  for (const key of Object.keys(record)) {
    const member = record[key];
    if (member === undefined) continue;
    if (key === '__proto__') throw refuse('an object with a member named __proto__');
    members += 1;
    bytes += measure(key, depth) + measure(member, depth + 1);
  }
  return headerBytes(members, 16, false) + bytes;
}

/** Header of a string, bin, array or map. `hasByteForm`: str and bin have a one-byte length, arrays and maps do not. */
function headerBytes(length: number, fixMax: number, hasByteForm: boolean): number {
  if (length < fixMax) return 1;
  if (hasByteForm && length < 0x100) return 2;
  return length < 0x10000 ? 3 : 5;
}

function measureNumber(value: number): number {
  if (value >>> 0 === value) return value < 0x80 ? 1 : value < 0x100 ? 2 : value < 0x10000 ? 3 : 5;
  if (value >> 0 === value) return value >= -0x20 ? 1 : value >= -0x80 ? 2 : value >= -0x8000 ? 3 : 5;
  return Number.isFinite(value) ? 9 : 1;
}

function measureText(text: string): number {
  if (text.length > SHORT_CHARS_MAX) return Buffer.byteLength(text);
  for (let i = 0; i < text.length; i++) {
    if (text.charCodeAt(i) >= 0x80) return Buffer.byteLength(text);
  }
  return text.length;
}

/** Writes `value` at `at`; returns the offset behind it. `target` must have the room that `measureValue` told. */
export function writeValue(target: Buffer, at: number, value: unknown): number {
  switch (typeof value) {
    case 'string':
      return writeText(target, at, value);
    case 'number':
      return writeNumber(target, at, value);
    case 'boolean':
      target[at] = value ? 0xc3 : 0xc2;
      return at + 1;
    case 'object':
      if (value !== null) return writeObject(target, at, value);
  }
  target[at] = 0xc0;
  return at + 1;
}

function writeObject(target: Buffer, at: number, value: object): number {
  if (value instanceof Uint8Array) {
    const start = writeByteHeader(target, at, value.length, 0xc4);
    target.set(value, start);
    return start + value.length;
  }
  if (Array.isArray(value)) {
    let next = writeCountHeader(target, at, value.length, 0x90, 0xdc);
    for (let i = 0; i < value.length; i++) next = writeValue(target, next, value[i]);
    return next;
  }
  const record = value as Record<string, unknown>;
  const keys = Object.keys(record);
  let members = 0;
  for (const key of keys) if (record[key] !== undefined) members += 1;
  let next = writeCountHeader(target, at, members, 0x80, 0xde);
  for (const key of keys) {
    const member = record[key];
    if (member === undefined) continue;
    next = writeValue(target, writeText(target, next, key), member);
  }
  return next;
}

function writeText(target: Buffer, at: number, text: string): number {
  const bytes = measureText(text);
  let next = at;
  if (bytes < 32) target[next++] = 0xa0 | bytes;
  else next = writeByteHeader(target, at, bytes, 0xd9);
  if (bytes !== text.length || bytes > SHORT_CHARS_MAX) {
    target.write(text, next, bytes, 'utf8');
    return next + bytes;
  }
  for (let i = 0; i < bytes; i++) target[next++] = text.charCodeAt(i);
  return next;
}

/**
 * `first` is the code of the one-byte form; the two- and four-byte forms follow it, for str (d9) and bin (c4) alike.
 */
function writeByteHeader(target: Buffer, at: number, length: number, first: number): number {
  if (length < 0x100) {
    target[at] = first;
    target[at + 1] = length;
    return at + 2;
  }
  return writeWideHeader(target, at, length, first + 1);
}

function writeCountHeader(target: Buffer, at: number, count: number, fix: number, wide: number): number {
  if (count >= 16) return writeWideHeader(target, at, count, wide);
  target[at] = fix | count;
  return at + 1;
}

function writeWideHeader(target: Buffer, at: number, length: number, code: number): number {
  if (length < 0x10000) {
    target[at] = code;
    return target.writeUInt16BE(length, at + 1);
  }
  target[at] = code + 1;
  return target.writeUInt32BE(length, at + 1);
}

function writeNumber(target: Buffer, at: number, value: number): number {
  if (value >>> 0 === value) return writeUnsigned(target, at, value);
  if (value >> 0 === value) return writeSigned(target, at, value);
  // Whole numbers beyond 32 bits travel as float64, which holds every safe integer exactly.
  if (Number.isFinite(value)) {
    target[at] = 0xcb;
    return target.writeDoubleBE(value, at + 1);
  }
  target[at] = 0xc0;
  return at + 1;
}

function writeUnsigned(target: Buffer, at: number, value: number): number {
  if (value < 0x80) {
    target[at] = value;
    return at + 1;
  }
  if (value < 0x100) {
    target[at] = 0xcc;
    target[at + 1] = value;
    return at + 2;
  }
  target[at] = value < 0x10000 ? 0xcd : 0xce;
  return value < 0x10000 ? target.writeUInt16BE(value, at + 1) : target.writeUInt32BE(value, at + 1);
}

function writeSigned(target: Buffer, at: number, value: number): number {
  if (value >= -0x20) {
    target[at] = 0x100 + value;
    return at + 1;
  }
  if (value >= -0x80) {
    target[at] = 0xd0;
    return target.writeInt8(value, at + 1);
  }
  target[at] = value >= -0x8000 ? 0xd1 : 0xd2;
  return value >= -0x8000 ? target.writeInt16BE(value, at + 1) : target.writeInt32BE(value, at + 1);
}

function refuse(what: string): Fault {
  return new Fault('internal', `cannot send ${what} in a frame; expected plain data`);
}
