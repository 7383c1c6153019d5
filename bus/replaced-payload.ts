import type { BusMessage } from './message.js';
import { isPayload, normalisePayload, type Payload } from './payload.js';
import { parseWeighed } from './payload-json.js';
import { isRecord } from './payload-shape.js';

/**
 * The message with what an interceptor made of its payload: the opposite of `interceptorView`, so it is wrapped as it was before. Throws
 * Fault `invalid_argument` or `too_large` for bytes that are no payload.
 */
export function replacePayload(message: BusMessage, bytes: Buffer): BusMessage {
  const { value, heapBytes } = parseWeighed(bytes);
  return { ...message, payload: rewrap(message.payload, value), payloadBytes: bytes.length, heapBytes };
}

function rewrap(before: unknown, value: unknown): Payload {
  if (!isPayload(before) || before.type === 'custom') return { type: 'custom', data: value };
  if (before.type === 'raw_json' && isRecord(value)) return { ...value, type: 'raw_json' };
  return normalisePayload(value);
}
