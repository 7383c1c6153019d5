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

/**
 * Input of `astrid_upgrade`. The original passed the bare version, which the export that its own SDK generates can't parse: every
 * upgrade hook failed (ABI reference 3.5).
 */
export function encodeUpgrade(previousVersion: string): Buffer {
  return Buffer.from(JSON.stringify({ prev_version: previousVersion }));
}
