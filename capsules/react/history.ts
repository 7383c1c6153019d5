import * as ipc from 'astrid/sdk/ipc';
import { type Message, messageSchema } from 'astrid/sdk/llm';
import { unwrap } from 'astrid/sdk/payload';
import { randomUuid } from 'astrid/sdk/random';
import { s } from 'astrid/sdk/schema';

/** Asking the session capsule, over the bus and within one invocation: subscribe, publish, wait for the answer. */
const TRIES = 3;
/** Characters that one stored result may have: the model saw it whole, later turns need only its gist. */
const KEPT_CHARS_MAX = 8000;
const APPEND_CHARS_MAX = 250_000;

const historySchema = s.openObject({ messages: s.array(messageSchema) });
const clearedSchema = s.openObject({ new_session_id: s.string() });

/** The messages of earlier turns, or null when the session capsule did not answer three times. */
export function readHistory(sessionId: string, timeoutMs: number): Message[] | null {
  const answer = ask('get_messages', sessionId, timeoutMs);
  return answer === null ? null : historySchema.parse(answer, 'history').messages;
}

/** Begins a new session in place of the old one and gives its id, or null when there was no answer. */
export function clearHistory(sessionId: string, timeoutMs: number): string | null {
  const answer = ask('clear', sessionId, timeoutMs);
  return answer === null ? null : clearedSchema.parse(answer, 'answer').new_session_id;
}

/** Asked again after a time-out, because a session capsule that was just restarted has lost the question. */
function ask(what: 'get_messages' | 'clear', sessionId: string, timeoutMs: number): unknown {
  for (let attempt = 0; attempt < TRIES; attempt++) {
    const correlationId = randomUuid();
    const answers = ipc.subscribe(`session.v1.response.${what}.${correlationId}`);
    try {
      ipc.publish(`session.v1.request.${what}`, { session_id: sessionId, correlation_id: correlationId });
      const [message] = answers.recv(timeoutMs).messages;
      if (message !== undefined) return unwrap(message.payload);
    } finally {
      answers.close();
    }
  }
  return null;
}

/** Hands the turn to the session capsule, in one message, so that the history holds whole turns only. */
export function appendHistory(sessionId: string, messages: readonly Message[], attempt = 1): void {
  const kept = messages.map(shortenMessage);
  const large = JSON.stringify(kept).length > APPEND_CHARS_MAX;
  const [first] = kept;
  const last = kept.at(-1);
  const chosen = large && first !== undefined && last !== undefined ? [first, last] : kept;
  ipc.publish('session.v1.append', { session_id: sessionId, messages: chosen, attempt });
}

function shortenMessage(message: Message): Message {
  return { role: message.role, content: shortenValue(message.content) as Message['content'] };
}

function shortenValue(value: unknown): unknown {
  if (typeof value === 'string') return shortenText(value);
  if (Array.isArray(value)) return value.map(shortenValue);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, entry]) => [key, shortenValue(entry)]));
}

function shortenText(text: string): string {
  if (text.length <= KEPT_CHARS_MAX) return text;
  return `${text.slice(0, KEPT_CHARS_MAX)}\n[${text.length - KEPT_CHARS_MAX} characters left out of the history]`;
}
