import { defineCapsule } from 'astrid/sdk';
import { on } from 'astrid/sdk/interceptor';
import * as ipc from 'astrid/sdk/ipc';
import type { Message } from 'astrid/sdk/llm';
import { randomUuid } from 'astrid/sdk/random';
import { s } from 'astrid/sdk/schema';
import { checkMessage, emptyHistory, extendHistory, type History, loadHistory, saveHistory } from './history.js';

/**
 * The memory of conversations. Other capsules append to a session, read it whole, or begin a new one; all of them name
 * it by `session_id`. Missing means `default` (ABI reference 5.5). Answers go to a topic that ends in the asker's
 * correlation id, so that two askers do not hear each other's.
 */
const SESSION_ID = /^[A-Za-z0-9_-]{1,64}$/;
const CORRELATION_ID = /^[A-Za-z0-9_-]{1,128}$/;

const appendSchema = s.openObject({ session_id: s.string().default('default'), messages: s.array(s.json()) });
const readSchema = s.openObject({
  session_id: s.string().default('default'),
  correlation_id: s.string(),
  append_before_read: s.array(s.json()).default([]),
});
const clearSchema = s.openObject({ session_id: s.string().default('default'), correlation_id: s.string() });

/** Both ids become part of a key or a topic, so their alphabet is closed. */
function checkId(value: string, field: string, pattern: RegExp): string {
  if (!pattern.test(value)) throw new Error(`payload.${field}: expected ${pattern.source}`);
  return value;
}

/** All messages are checked before any is stored: a bad one in the middle must not leave half a turn behind. */
function append(sessionId: string, values: readonly unknown[]): History {
  const messages: Message[] = values.map(checkMessage);
  const history = loadHistory(sessionId);
  if (messages.length === 0) return history;
  const extended = extendHistory(history, messages);
  saveHistory(sessionId, extended);
  return extended;
}

defineCapsule({
  interceptors: {
    handle_append: on(appendSchema, (request) => {
      append(checkId(request.session_id, 'session_id', SESSION_ID), request.messages);
    }),

    handle_get_messages: on(readSchema, (request) => {
      const sessionId = checkId(request.session_id, 'session_id', SESSION_ID);
      const correlationId = checkId(request.correlation_id, 'correlation_id', CORRELATION_ID);
      const { messages } = append(sessionId, request.append_before_read);
      ipc.publish(`session.v1.response.get_messages.${correlationId}`, { correlation_id: correlationId, messages });
    }),

    // A cleared session is not erased: a new one begins, with the old one as its parent.
    handle_clear: on(clearSchema, (request) => {
      const oldId = checkId(request.session_id, 'session_id', SESSION_ID);
      const correlationId = checkId(request.correlation_id, 'correlation_id', CORRELATION_ID);
      const newId = randomUuid();
      saveHistory(newId, emptyHistory(oldId));
      ipc.publish(`session.v1.response.clear.${correlationId}`, {
        correlation_id: correlationId,
        new_session_id: newId,
        old_session_id: oldId,
      });
    }),
  },
});
