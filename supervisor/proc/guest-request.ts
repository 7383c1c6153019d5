import type { Invocation } from './invocation.js';

const COMMA = 0x2c;
/** What each byte is written as: its digits, the comma behind them, and their number with it. The third may be of no meaning. */
const FIRST = new Uint8Array(256);
const SECOND = new Uint8Array(256);
const THIRD = new Uint8Array(256);
const LENGTH = new Uint8Array(256);
for (let byte = 0; byte < 256; byte++) {
  const text = Buffer.from(`${byte},`);
  [FIRST[byte], SECOND[byte], THIRD[byte]] = [text[0] ?? 0, text[1] ?? 0, text[2] ?? 0];
  LENGTH[byte] = text.length;
}

/**
 * Bytes as a JSON list of numbers. Five megabytes are written for one message: joining an array of texts took a quarter of a second to
 * a second for them. All digits are written at once, the comma over what is too much, and the next number behind it.
 */
function encodeBytes(bytes: Uint8Array): Buffer {
  if (bytes.length === 0) return Buffer.from('[]');
  let size = 1;
  for (let i = 0; i < bytes.length; i++) size += LENGTH[bytes[i] as number] as number;
  const list = Buffer.allocUnsafe(size);
  list[0] = 0x5b; // [
  for (let i = 0, at = 1; i < bytes.length; i++) {
    const byte = bytes[i] as number;
    list[at] = FIRST[byte] as number;
    list[at + 1] = SECOND[byte] as number;
    list[at + 2] = THIRD[byte] as number;
    at += LENGTH[byte] as number;
    list[at - 1] = COMMA;
  }
  list[size - 1] = 0x5d; // ] in place of the last comma
  return list;
}

/** A payload on its way into guests: written as a list of numbers once, when the first of them takes it. */
export class RequestPayload {
  readonly bytes: Buffer;
  #list: Buffer | null = null;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }

  /** Request JSON of a guest export: the payload bytes as a list of numbers (ABI reference 3.2). */
  request(name: string): Buffer {
    this.#list ??= encodeBytes(this.bytes);
    return Buffer.concat([Buffer.from(`{"name":${JSON.stringify(name)},"arguments":`), this.#list, Buffer.from('}')]);
  }
}

/** The request of a payload that one guest gets. */
export function encodeRequest(name: string, payload: Buffer): Buffer {
  return new RequestPayload(payload).request(name);
}

/** `get_caller`: principal, source and time of the triggering message (ABI reference 2.8), and its session, which 0.5 guests read. */
export function encodeCaller({ message }: Invocation): string | null {
  if (message === null) return null;
  const timestamp = message.timestamp.replace(/Z$/, '+00:00');
  const { principal, session } = message.actor;
  const caller = { principal, source_id: message.sourceId, timestamp };
  return JSON.stringify(session === null ? caller : { ...caller, session_id: session });
}

/**
 * Input of `astrid_upgrade`. The original passed the bare version, which the export that its own SDK generates can't parse: every
 * upgrade hook failed (ABI reference 3.5).
 */
export function encodeUpgrade(previousVersion: string): Buffer {
  return Buffer.from(JSON.stringify({ prev_version: previousVersion }));
}
