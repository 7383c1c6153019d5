import { isUtf8 } from 'node:buffer';
import { Fault } from '../abi/errno.js';

/**
 * JSON of a guest, made safe to parse on the kernel's one event loop. JSON.parse takes any depth, and what it gives
 * then overflows the stack of everything that walks it; an object of 600,000 names in 5 MiB holds the loop for a third
 * of a second. So the text is measured first, in one pass over its bytes.
 */
export const PAYLOAD_SHAPE = {
  /** Below the depth of a frame (64) by enough for every envelope that wraps a payload. */
  depthMax: 48,
  /** Elements and members together. */
  valuesMax: 2 ** 20,
  /** Members of objects; they cost ten times what elements cost. */
  membersMax: 2 ** 16,
  /** Lists and objects, empty ones too: three bytes of text, and twenty times that in memory. */
  containersMax: 2 ** 19,
} as const;

/**
 * About what a parsed value takes of the heap, so that a queue can be charged for what it holds and not for the text it came as: a
 * byte of text (two where one character of it is wide), a list or object, a member's name and place, an element's place.
 */
const HEAP_BYTES = { text: 2, container: 64, member: 48, element: 8 } as const;

/** A value, and about how many bytes it holds while it waits. */
export interface Weighed {
  readonly value: unknown;
  readonly heapBytes: number;
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
/** Strings up to this many bytes are searched here, since a call into native code costs more than they do. */
const SHORT_STRING_BYTES = 32;

/**
 * The value of `bytes`. Throws Fault `invalid_argument` or `too_large`, with field `payload`. A member named
 * `__proto__` is refused at any depth: one careless copy of it in any reader would change that reader's prototypes.
 */
export function parsePayload(bytes: Uint8Array): unknown {
  return parseWeighed(bytes).value;
}

/** {@link parsePayload}, with what the value weighs. */
export function parseWeighed(bytes: Uint8Array): Weighed {
  const view = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (!isUtf8(view)) throw invalid('payload is not valid UTF-8');
  const heapBytes = measureJson(view);
  const text = view.toString('utf8');
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (thrown) {
    throw invalid('payload is not valid JSON', thrown);
  }
  // The name itself, or an escape that can spell one of its underscores; the walk is for those few texts only.
  if (text.includes('__proto__') || text.includes('\\u005')) checkNames(value);
  return { value, heapBytes };
}

/** What a value weighs that did not arrive as JSON text, `bytes` long as such. What lies deeper than any message may is not counted. */
export function weighPayload(value: unknown, bytes: number): number {
  return bytes * HEAP_BYTES.text + weighParts(value, 0);
}

function weighParts(value: unknown, depth: number): number {
  if (typeof value !== 'object' || value === null || depth > PAYLOAD_SHAPE.depthMax * 2) return 0;
  // Every message passes here: a walk that makes nothing.
  let bytes: number = HEAP_BYTES.container;
  if (Array.isArray(value)) {
    bytes += value.length * HEAP_BYTES.element;
    for (const member of value) bytes += weighParts(member, depth + 1);
    return bytes;
  }
  for (const name in value) {
    bytes += HEAP_BYTES.member + weighParts((value as Record<string, unknown>)[name], depth + 1);
  }
  return bytes;
}

/** The same bound on depth for a value that did not arrive as JSON text. */
export function checkPayloadDepth(value: unknown, depth = 0): void {
  if (typeof value !== 'object' || value === null) return;
  if (depth >= PAYLOAD_SHAPE.depthMax) throw invalid(`payload is nested deeper than ${PAYLOAD_SHAPE.depthMax}`);
  for (const member of Object.values(value)) checkPayloadDepth(member, depth + 1);
}

/**
 * Counts brackets, commas and colons outside strings, and answers what the value will weigh. On text that is not JSON the
 * counts mean nothing, and JSON.parse refuses it.
 */
function measureJson(bytes: Buffer): number {
  let depth = 0;
  let containers = 0;
  let values = 0;
  let members = 0;
  for (let i = 0; i < bytes.length; i++) {
    switch (bytes[i]) {
      case QUOTE:
        i = endOfString(bytes, i);
        break;
      case 0x5b: // [
      case 0x7b: // {
        depth += 1;
        values += 1;
        containers += 1;
        if (depth > PAYLOAD_SHAPE.depthMax) throw invalid(`payload is nested deeper than ${PAYLOAD_SHAPE.depthMax}`);
        break;
      case 0x5d: // ]
      case 0x7d: // }
        depth -= 1;
        break;
      case 0x2c: // ,
        values += 1;
        break;
      case 0x3a: // :
        members += 1;
        break;
    }
  }
  if (values > PAYLOAD_SHAPE.valuesMax) throw tooLarge(values, 'values', PAYLOAD_SHAPE.valuesMax);
  if (members > PAYLOAD_SHAPE.membersMax) throw tooLarge(members, 'members', PAYLOAD_SHAPE.membersMax);
  if (containers > PAYLOAD_SHAPE.containersMax) {
    throw tooLarge(containers, 'lists and objects', PAYLOAD_SHAPE.containersMax);
  }
  return (
    bytes.length * HEAP_BYTES.text +
    containers * HEAP_BYTES.container +
    members * HEAP_BYTES.member +
    values * HEAP_BYTES.element
  );
}

/** Offset of the closing quote, or the length of `bytes` if there is none. */
function endOfString(bytes: Buffer, open: number): number {
  const shortEnd = Math.min(bytes.length, open + SHORT_STRING_BYTES);
  let at = open + 1;
  for (; at < shortEnd; at++) {
    if (bytes[at] === QUOTE) return at;
    if (bytes[at] === BACKSLASH) at += 1;
  }
  return endOfLongString(bytes, at);
}

/**
 * `from` is behind any escape. Long strings are where the bytes of a payload are, and native search takes them fastest.
 */
function endOfLongString(bytes: Buffer, from: number): number {
  let close = bytes.indexOf(QUOTE, from);
  while (close !== -1) {
    let backslashes = 0;
    while (close - 1 - backslashes >= from && bytes[close - 1 - backslashes] === BACKSLASH) backslashes += 1;
    if (backslashes % 2 === 0) return close;
    close = bytes.indexOf(QUOTE, close + 1);
  }
  return bytes.length;
}

function checkNames(value: unknown): void {
  if (typeof value !== 'object' || value === null) return;
  if (Object.hasOwn(value, '__proto__')) throw invalid('payload has a member named __proto__');
  for (const member of Object.values(value)) checkNames(member);
}

function invalid(message: string, cause?: unknown): Fault {
  return new Fault('invalid_argument', message, { field: 'payload', cause });
}

function tooLarge(found: number, what: string, max: number): Fault {
  return new Fault('too_large', `payload has ${found} ${what}; expected at most ${max}`, { field: 'payload' });
}
