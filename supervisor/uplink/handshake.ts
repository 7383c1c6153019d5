import { z } from 'zod';

/** Version of the framing and of the handshake (ABI reference section 7). */
const UPLINK_PROTOCOL = 1;

export interface TokenCheck {
  /** In constant time. */
  matches(candidate: string): boolean;
}

export interface HelloAnswer {
  readonly accepted: boolean;
  /** JSON for the client. */
  readonly body: Buffer;
  /** Why not, for the operator; empty when accepted. */
  readonly reason: string;
}

const hello = z.object({
  token: z.string(),
  protocol_version: z.int().min(0).max(255),
  client_version: z.string(),
});

/**
 * What a client's first frame is answered, or null for one that cannot be read: it is cut off without a word. The version is looked
 * at before the token, and a token of the wrong form is answered like a wrong one.
 */
export function answerHello(frame: Buffer, token: TokenCheck, serverVersion: string): HelloAnswer | null {
  const parsed = hello.safeParse(parseJson(frame));
  if (!parsed.success) return null;
  const { protocol_version: theirs, token: shown } = parsed.data;
  if (theirs !== UPLINK_PROTOCOL) {
    return refuse(`protocol version mismatch: client ${theirs}, server ${UPLINK_PROTOCOL}`, serverVersion);
  }
  if (!token.matches(shown)) return refuse('authentication failed', serverVersion);
  return { accepted: true, body: encode('ok', serverVersion), reason: '' };
}

/** An answer for a client that did nothing wrong and cannot be had. */
export function refuse(reason: string, serverVersion: string): HelloAnswer {
  return { accepted: false, body: encode('error', serverVersion, reason), reason };
}

function encode(status: 'ok' | 'error', serverVersion: string, reason?: string): Buffer {
  return Buffer.from(
    JSON.stringify({ status, protocol_version: UPLINK_PROTOCOL, server_version: serverVersion, reason }),
  );
}

function parseJson(frame: Buffer): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(frame));
  } catch {
    return undefined; // no reading of it is a hello
  }
}
