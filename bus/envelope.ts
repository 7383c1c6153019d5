import type { BusMessage } from './message.js';

/** What `ipc_poll` and `ipc_recv` answer (ABI reference 4.1). */
export interface Envelope {
  readonly messages: readonly BusMessage[];
  /** 1 when a message that alone passes the size of an envelope was given up, else 0. */
  readonly dropped: number;
  /** Messages that this subscription lost to its full queue since the last envelope. */
  readonly lagged: number;
}

/** Up to here a bound replaces the true size, so that most messages are never serialised just to be measured. */
const SMALL_PAYLOAD_BYTES = 16 * 1024;
/** Normalising can lengthen JSON: `1e20` becomes 21 digits, and left-out fields appear with their defaults. */
const GROWTH_MAX = 6;
/** Names, ids and timestamp of one message, and its topic and principal with every character escaped. */
const FRAME_OF_MESSAGE_BYTES = 2048;

/** A message has one JSON form for all subscribers, made when the first of them asks for it. */
const jsonOfMessages = new WeakMap<BusMessage, Buffer>();

/** The exact JSON of ABI reference 4.1 and 4.2, as UTF-8. */
export function encodeEnvelope(envelope: Envelope): Buffer {
  const parts: Buffer[] = [OPEN];
  for (const [index, message] of envelope.messages.entries()) {
    if (index > 0) parts.push(COMMA);
    parts.push(messageJson(message));
  }
  parts.push(Buffer.from(`],"dropped":${envelope.dropped},"lagged":${envelope.lagged}}`));
  return Buffer.concat(parts);
}

const OPEN = Buffer.from('{"messages":[');
const COMMA = Buffer.from(',');

/** One message object (ABI reference 4.2). The principal is left out when there is none. Do not write to the result. */
export function messageJson(message: BusMessage): Buffer {
  let json = jsonOfMessages.get(message);
  if (json === undefined) {
    json = Buffer.from(serialise(message));
    jsonOfMessages.set(message, json);
  }
  return json;
}

/** Bytes that `message` takes in an envelope: exact if it is large, else an upper bound. */
export function measureInEnvelope(message: BusMessage): number {
  if (message.payloadBytes > SMALL_PAYLOAD_BYTES) return messageJson(message).length + COMMA.length;
  return message.payloadBytes * GROWTH_MAX + FRAME_OF_MESSAGE_BYTES;
}

function serialise(message: BusMessage): string {
  return JSON.stringify({
    topic: message.topic,
    payload: message.payload,
    signature: null,
    source_id: message.sourceId,
    timestamp: message.timestamp,
    seq: message.seq,
    principal: message.actor.principal === '' ? undefined : message.actor.principal,
  });
}
