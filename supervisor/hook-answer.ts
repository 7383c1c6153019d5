import { Fault } from '../abi/errno.js';
import { LIMITS } from '../abi/limits.js';
import { parsePayload } from '../bus/payload-json.js';

/** What the answers to one hook may still take together. */
export interface AnswerRoom {
  leftBytes: number;
}

/** What one interceptor answered to a hook. `text` is JSON as the kernel writes it. */
export type HookAnswer =
  | { readonly kind: 'answer'; readonly text: string }
  | { readonly kind: 'none' }
  | { readonly kind: 'denied' };

/**
 * A guest's answer to a hook. It is kept as text until the last one is in: what is parsed takes twenty times as much, and anybody may
 * ask. Throws Fault `too_large` or `invalid_argument`.
 */
export function readAnswer(bytes: Buffer, room: AnswerRoom): HookAnswer {
  if (bytes.length > Math.min(LIMITS.hookAnswerBytesMax, room.leftBytes)) throw overRoom(bytes.length, room);
  return takeAnswer(parsePayload(bytes), room);
}

/** An answer of the kernel's own making. */
export function takeAnswer(value: unknown, room: AnswerRoom): HookAnswer {
  if (value === undefined || value === null) return { kind: 'none' };
  const text = JSON.stringify(value);
  const bytes = Buffer.byteLength(text);
  if (bytes > room.leftBytes) throw overRoom(bytes, room);
  room.leftBytes -= bytes;
  return { kind: 'answer', text };
}

function overRoom(bytes: number, { leftBytes }: AnswerRoom): Fault {
  const most = Math.min(LIMITS.hookAnswerBytesMax, leftBytes);
  return new Fault('too_large', `the answer has ${bytes} bytes; there is room for ${most}`);
}
