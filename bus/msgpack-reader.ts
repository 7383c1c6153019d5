import { isUtf8 } from 'node:buffer';
import { Fault } from '../abi/errno.js';
import { LIMITS } from '../abi/limits.js';

/**
 * Reads one MessagePack value from bytes that may come from an attacker. It decodes and checks in one pass, so that
 * nothing can be seen differently by a checker and by a decoder. Refused with Fault `bad_frame`: truncation,
 * trailing bytes, nesting and counts beyond the bounds of a frame, extension types of any kind, map keys that are not
 * strings, repeated keys (a check could read the first and the handler the last), the key `__proto__`, invalid
 * UTF-8, NaN and infinities (they compare false with every bound), and integers that a number cannot hold exactly.
 *
 * Byte strings come back as views of the input: whoever keeps one keeps the whole chunk alive, so copy it first.
 */

const SHORT_BYTES_MAX = 32;
const KEY_CACHE_SIZE = 256;
/**
 * Keys repeat from frame to frame; comparing with the last string of the same hash is cheaper than making a new one.
 */
const keyCache: string[] = new Array<string>(KEY_CACHE_SIZE).fill('');

// The reader is synchronous and calls nothing of its caller's, so its cursor can live here instead of in an object.
const EMPTY = Buffer.alloc(0);
let source: Buffer = EMPTY;
let position = 0;
let end = 0;
let valuesLeft = 0;
let membersLeft = 0;

/** Shapes: null, boolean, number, string, Buffer, array, plain object. */
export function readValue(bytes: Buffer): unknown {
  source = bytes;
  position = 0;
  end = bytes.length;
  valuesLeft = LIMITS.frameValuesMax;
  membersLeft = LIMITS.frameMembersMax;
  try {
    const value = read(0);
    if (position !== end) throw refuse('trailing bytes');
    return value;
  } finally {
    source = EMPTY; // or a module variable would keep the last, perhaps huge, frame alive
  }
}

function read(depth: number): unknown {
  if (position >= end) throw refuse('truncated value');
  const code = source[position++] as number;
  if (code < 0x80) return code;
  if (code < 0x90) return readMap(code & 0x0f, depth);
  if (code < 0xa0) return readArray(code & 0x0f, depth);
  if (code < 0xc0) return readText(code & 0x1f);
  if (code >= 0xe0) return code - 0x100;
  return readCoded(code, depth);
}

function readCoded(code: number, depth: number): unknown {
  switch (code) {
    case 0xc0:
      return null;
    case 0xc2:
      return false;
    case 0xc3:
      return true;
    case 0xc4:
    case 0xc5:
    case 0xc6:
      return readBytes(readUnsigned(1 << (code - 0xc4)));
    case 0xca:
      return readFloat(4);
    case 0xcb:
      return readFloat(8);
    case 0xcc:
    case 0xcd:
    case 0xce:
      return readUnsigned(1 << (code - 0xcc));
    case 0xcf:
      return readWide(false);
    case 0xd0:
    case 0xd1:
    case 0xd2:
      return readSigned(1 << (code - 0xd0));
    case 0xd3:
      return readWide(true);
    case 0xd9:
    case 0xda:
    case 0xdb:
      return readText(readUnsigned(1 << (code - 0xd9)));
    case 0xdc:
    case 0xdd:
      return readArray(readUnsigned(2 << (code - 0xdc)), depth);
    case 0xde:
    case 0xdf:
      return readMap(readUnsigned(2 << (code - 0xde)), depth);
    default:
      // c1 is never used; c7 to c9 and d4 to d8 are extension types, msgpackr's records and pointers included.
      throw refuse(`type code 0x${code.toString(16)} is not allowed`);
  }
}

function readArray(count: number, depth: number): unknown[] {
  enter(count, count, depth);
  const array = new Array<unknown>(count);
  for (let i = 0; i < count; i++) array[i] = read(depth + 1);
  return array;
}

function readMap(count: number, depth: number): Record<string, unknown> {
  enter(count * 2, count, depth);
  if (count > membersLeft) throw refuse(`more than ${LIMITS.frameMembersMax} map members`);
  membersLeft -= count;
  const map: Record<string, unknown> = {};
  for (let i = 0; i < count; i++) {
    const key = readKey();
    if (key === '__proto__') throw refuse('a map key named __proto__');
    // No value is undefined, so only a name that Object.prototype has, such as `constructor`, needs the slower
    // question.
    if (map[key] !== undefined && Object.hasOwn(map, key)) throw refuse('a repeated map key');
    map[key] = read(depth + 1);
  }
  return map;
}

/** Everything that must hold before memory is taken for a collection of `count` values. */
function enter(bytesAtLeast: number, count: number, depth: number): void {
  if (depth >= LIMITS.frameDepthMax) throw refuse(`nested deeper than ${LIMITS.frameDepthMax}`);
  if (bytesAtLeast > end - position) throw refuse('a count that the remaining bytes cannot hold');
  if (count > valuesLeft) throw refuse(`more than ${LIMITS.frameValuesMax} values`);
  valuesLeft -= count;
}

function readKey(): string {
  if (position >= end) throw refuse('truncated value');
  const code = source[position++] as number;
  if (code >= 0xa0 && code < 0xc0) return readShortKey(code & 0x1f);
  if (code >= 0xd9 && code <= 0xdb) return readText(readUnsigned(1 << (code - 0xd9)));
  throw refuse('a map key that is not a string');
}

function readShortKey(length: number): string {
  if (length > end - position) throw refuse('truncated value');
  let hash = length;
  for (let i = position; i < position + length; i++) hash = (hash * 31 + (source[i] as number)) | 0;
  const slot = hash & (KEY_CACHE_SIZE - 1);
  const cached = keyCache[slot] as string;
  if (cached.length === length && matchesAscii(cached, position)) {
    position += length;
    return cached;
  }
  const key = readText(length);
  keyCache[slot] = key;
  return key;
}

/** True only if each byte is the character's code; so a key with other than ASCII characters never matches. */
function matchesAscii(text: string, at: number): boolean {
  for (let i = 0; i < text.length; i++) {
    const byte = source[at + i] as number;
    if (byte >= 0x80 || text.charCodeAt(i) !== byte) return false;
  }
  return true;
}

function readText(length: number): string {
  if (length > end - position) throw refuse('truncated string');
  const start = position;
  position += length;
  if (length <= SHORT_BYTES_MAX) {
    let i = start;
    while (i < position && (source[i] as number) < 0x80) i += 1;
    if (i === position) return source.toString('latin1', start, position);
  }
  if (!isUtf8(source.subarray(start, position))) throw refuse('invalid UTF-8');
  return source.toString('utf8', start, position);
}

function readBytes(length: number): Buffer {
  if (length > end - position) throw refuse('truncated byte string');
  position += length;
  return source.subarray(position - length, position);
}

function readUnsigned(width: number): number {
  need(width);
  let value = 0;
  for (let i = 0; i < width; i++) value = value * 256 + (source[position++] as number);
  return value;
}

function readSigned(width: number): number {
  need(width);
  position += width;
  return source.readIntBE(position - width, width);
}

function readWide(signed: boolean): number {
  need(8);
  const value = signed ? source.readBigInt64BE(position) : source.readBigUInt64BE(position);
  position += 8;
  const number = Number(value);
  if (!Number.isSafeInteger(number)) throw refuse('an integer beyond 2^53');
  return number;
}

function readFloat(width: 4 | 8): number {
  need(width);
  const value = width === 4 ? source.readFloatBE(position) : source.readDoubleBE(position);
  position += width;
  if (!Number.isFinite(value)) throw refuse('a number that is not finite');
  return value;
}

function need(bytes: number): void {
  if (bytes > end - position) throw refuse('truncated value');
}

function refuse(what: string): Fault {
  return new Fault('bad_frame', `malformed frame: ${what}`);
}
