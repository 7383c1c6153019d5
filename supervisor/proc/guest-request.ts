import type { Invocation } from './invocation.js';

/** Request JSON of a guest export: the payload bytes as a list of numbers (ABI reference 3.2). */
export function encodeRequest(name: string, payload: Uint8Array): Buffer {
  return Buffer.from(`{"name":${JSON.stringify(name)},"arguments":[${payload.join(',')}]}`);
}

/** `get_caller`: principal, source and time of the triggering message (ABI reference 2.8), and its session, which 0.5 guests read. */
export function encodeCaller({ message }: Invocation): string | null {
  if (message === null) return null;
  const timestamp = message.timestamp.replace(/Z$/, '+00:00');
  const { principal, session } = message.actor;
  const caller = { principal, source_id: message.sourceId, timestamp };
  return JSON.stringify(session === null ? caller : { ...caller, session_id: session });
}
