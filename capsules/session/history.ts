import * as kv from 'astrid/sdk/kv';
import { type Message, messageSchema } from 'astrid/sdk/llm';
import * as log from 'astrid/sdk/log';
import { s } from 'astrid/sdk/schema';

/**
 * One conversation in KV: key `session.data.<id>`, JSON `{schema_version: 1, parent_session_id, messages}` (ABI
 * reference 5.5). A value is at most 1 MiB, so the oldest turns leave when the history grows past `HISTORY_CHARS_MAX`;
 * `trimmed` counts the messages that left.
 */
export interface History {
  readonly schema_version: 1;
  readonly parent_session_id: string | null;
  readonly messages: readonly Message[];
  readonly trimmed: number;
}

const SCHEMA_VERSION = 1;
/** Characters of JSON. Three bytes each at worst would be 900 KB: below the 1 MiB of a KV value. */
export const HISTORY_CHARS_MAX = 300_000;

const storedSchema = s.openObject({
  schema_version: s.integer(),
  parent_session_id: s.string().optional(),
  messages: s.array(s.json()),
  trimmed: s.integer().default(0),
});

export function keyOf(sessionId: string): string {
  return `session.data.${sessionId}`;
}

export function emptyHistory(parent: string | null = null): History {
  return { schema_version: SCHEMA_VERSION, parent_session_id: parent, messages: [], trimmed: 0 };
}

/**
 * The history of a session; empty for a new one. A value that cannot be read is moved aside, never overwritten.
 * @throws Error when a newer version of this capsule wrote it: to go on would lose what it means.
 */
export function loadHistory(sessionId: string): History {
  const key = keyOf(sessionId);
  const raw = kv.get(key);
  if (raw === undefined) return emptyHistory();
  try {
    const stored = storedSchema.parse(JSON.parse(new TextDecoder().decode(raw)));
    if (stored.schema_version > SCHEMA_VERSION) {
      throw new VersionError(`session ${sessionId} was written by a newer version (${stored.schema_version})`);
    }
    return {
      schema_version: SCHEMA_VERSION,
      parent_session_id: stored.parent_session_id ?? null,
      messages: stored.messages.map(checkMessage),
      trimmed: stored.trimmed,
    };
  } catch (thrown) {
    if (thrown instanceof VersionError) throw thrown;
    kv.set(`session.damaged.${sessionId}`, raw);
    kv.delete(key);
    log.error(`the history of session ${sessionId} is damaged and was moved aside: ${(thrown as Error).message}`);
    return emptyHistory();
  }
}

export function saveHistory(sessionId: string, history: History): void {
  kv.setJson(keyOf(sessionId), history);
}

/** The history with the messages at its end, cut at the front, at the start of a user's turn, to fit its limit. */
export function extendHistory(history: History, added: readonly Message[]): History {
  const messages = [...history.messages, ...added];
  const sizes = messages.map((message) => JSON.stringify(message).length + 1);
  let size = sizes.reduce((sum, part) => sum + part, 0);
  let first = 0;
  while (first < messages.length && (size > HISTORY_CHARS_MAX || (first > 0 && messages[first]?.role !== 'user'))) {
    size -= sizes[first] ?? 0;
    first++;
  }
  return { ...history, messages: messages.slice(first), trimmed: history.trimmed + first };
}

/** Checks the shape and keeps the message as it came: a sender may know fields that this version does not. */
export function checkMessage(value: unknown): Message {
  messageSchema.parse(value, 'message');
  return value as Message;
}

class VersionError extends Error {}
