import { SystemError } from './system-error.js';
import { decodeUtf8, encodeUtf8 } from './utf8.js';

/**
 * The one door to the kernel. Every stub of the SDK passes the name of its call as a string literal: `astrid build`
 * finds the calls a capsule uses by these literals after tree shaking, and the module imports only those.
 */
declare const __astrid_call: (name: string, ...args: Uint8Array[]) => Uint8Array;

const OK = 0;
const FAILED = 1;

/**
 * One host call of ABI generation 3: bytes in, bytes out.
 * @throws SystemError with the kernel's code when the call failed.
 */
export function call(name: string, ...args: Uint8Array[]): Uint8Array {
  const reply = __astrid_call(name, ...args);
  // A copy, so that an author who looks at `.buffer` sees the value alone.
  if (reply[0] === OK) return reply.slice(1);
  if (reply[0] === FAILED) throw decodeError(reply.subarray(1));
  throw new SystemError('bad_frame', `${name} was answered without a status byte`);
}

function decodeError(bytes: Uint8Array): SystemError {
  const text = decodeUtf8(bytes);
  try {
    const error = JSON.parse(text) as { code?: unknown; message?: unknown } | null;
    if (typeof error?.code === 'string' && typeof error.message === 'string') {
      return new SystemError(error.code, error.message);
    }
  } catch {
    // Not JSON: the text itself is all there is to tell.
  }
  return new SystemError('internal', text === '' ? 'the kernel gave no reason' : text);
}

export function encodeText(value: string): Uint8Array {
  return encodeUtf8(value);
}

export function encodeBytes(value: string | Uint8Array): Uint8Array {
  return typeof value === 'string' ? encodeUtf8(value) : value;
}

/** ASCII decimal text, the ABI's form of numbers and handles. */
export function encodeDecimal(value: number, field: string): Uint8Array {
  if (!Number.isSafeInteger(value) || value < 0) {
    throw new SystemError('invalid_argument', `${field}: expected a whole number of at least 0, got ${value}`);
  }
  return encodeUtf8(String(value));
}

export function encodeJson(value: unknown): Uint8Array {
  const text = JSON.stringify(value);
  if (text === undefined) throw new SystemError('invalid_argument', 'the value cannot be written as JSON');
  return encodeUtf8(text);
}

export function decodeText(bytes: Uint8Array): string {
  return decodeUtf8(bytes);
}

export function decodeDecimal(bytes: Uint8Array): number {
  const value = Number(decodeUtf8(bytes));
  if (!Number.isSafeInteger(value)) throw new SystemError('bad_frame', 'the kernel sent a number that is none');
  return value;
}

/** The kernel's JSON. The shape is the kernel's promise (ABI reference section 2), so it is not checked again here. */
export function decodeJson<T>(bytes: Uint8Array): T {
  return JSON.parse(decodeUtf8(bytes)) as T;
}
