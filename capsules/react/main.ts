import { defineCapsule } from 'astrid/sdk';
import { on } from 'astrid/sdk/interceptor';
import * as ipc from 'astrid/sdk/ipc';
import type { StreamEvent } from 'astrid/sdk/llm';
import * as log from 'astrid/sdk/log';
import * as runtime from 'astrid/sdk/runtime';
import { type Schema, s } from 'astrid/sdk/schema';
import { handleCrash, handleFailure } from './delivery.js';
import { endFailed, respond } from './ending.js';
import { clearHistory } from './history.js';
import { handleCancel, handlePrompt } from './prompt.js';
import { forgetCrashes } from './recent.js';
import { readSettings } from './settings.js';
import { handleEvent } from './stream.js';
import { settleCall } from './tool-step.js';
import { loadTurn, openTurns } from './turn.js';
import { markInterrupted, type Scope, sweepTurns } from './watchdog.js';

/**
 * The agent loop (ABI reference section 5). A turn is never one long invocation: each message that arrives moves it one
 * step, and what it needs to go on is in KV. So the capsule can be killed at any point of a conversation.
 */
/** The id becomes part of keys and topics. */
const SESSION_ID = /^[A-Za-z0-9_-]{1,64}$/;
const BAD_SESSION = 'session_id: expected 1 to 64 letters, digits, - or _';

const sessionId = s.string().default('default');
const promptSchema = s.openObject({ text: s.string(), session_id: sessionId, context: s.json().optional() });
const clearSchema = s.openObject({ session_id: sessionId });
const failureSchema = s.openObject({
  topic: s.string(),
  capsule_id: s.string(),
  code: s.string().default(''),
  reason: s.string(),
  payload: s.json().optional(),
});
const crashSchema = s.openObject({ capsule_id: s.string() });
const resultSchema = s.openObject({
  call_id: s.string(),
  result: s.openObject({ content: s.string(), is_error: s.boolean().default(false) }),
});
const streamSchema = s.openObject({ request_id: s.string(), event: s.json() });
const eventSchema: Schema<StreamEvent> = s.union([
  s.oneOf(['Done']),
  s.openObject({ TextDelta: s.string() }),
  s.openObject({ ReasoningDelta: s.string() }),
  s.openObject({ ToolCallStart: s.openObject({ id: s.string(), name: s.string() }) }),
  s.openObject({ ToolCallDelta: s.openObject({ id: s.string(), args_delta: s.string() }) }),
  s.openObject({ ToolCallEnd: s.openObject({ id: s.string() }) }),
  s.openObject({ Usage: s.openObject({ input_tokens: s.integer(), output_tokens: s.integer() }) }),
  s.openObject({ Error: s.string() }),
]);

function isCancel(text: string, context: unknown): boolean {
  return text === '' && (context as { action?: unknown } | null | undefined)?.action === 'cancel_turn';
}

/** A kind of event that this version does not know is no reason to lose the ones it does. */
function readEvent(event: unknown): StreamEvent | null {
  try {
    return eventSchema.parse(event, 'event');
  } catch (thrown) {
    log.warn(`an event of the model's stream is left out: ${(thrown as Error).message}`);
    return null;
  }
}

/** The session a tick belongs to, where the kernel tells it: in the tick or as the caller's. */
function scopeOf(payload: unknown): Scope {
  const named = (payload as { session_id?: unknown } | null | undefined)?.session_id ?? runtime.caller().sessionId;
  return typeof named === 'string' ? { sessionId: named } : 'unknown';
}

defineCapsule({
  interceptors: {
    handle_user_prompt: on(promptSchema, ({ text, session_id, context }) => {
      // Answered, not thrown: whoever sent the prompt waits for words.
      if (!SESSION_ID.test(session_id)) respond(session_id.slice(0, 64), BAD_SESSION, true);
      else if (isCancel(text, context)) handleCancel(session_id);
      else handlePrompt(session_id, text, context);
    }),

    handle_llm_stream: on(streamSchema, ({ request_id, event }) => {
      const known = readEvent(event);
      if (known !== null) handleEvent(request_id, known);
    }),

    handle_tool_result: on(resultSchema, ({ call_id, result }) => {
      const turn = openTurns().find((open) => open.calls.some((call) => call.callId === call_id));
      if (turn !== undefined) settleCall(turn, call_id, result.content, result.is_error);
    }),

    handle_delivery_failed: on(failureSchema, handleFailure),

    handle_health_failed: on(crashSchema, ({ capsule_id }) => handleCrash(capsule_id)),

    handle_capsules_loaded: forgetCrashes,

    handle_watchdog_tick: (payload) => sweepTurns(scopeOf(payload)),

    handle_session_clear: on(clearSchema, ({ session_id }) => {
      if (!SESSION_ID.test(session_id)) throw new Error(BAD_SESSION);
      const turn = loadTurn(session_id);
      if (turn !== undefined) endFailed(turn, 'cancelled', 'Cancelled: the session was cleared.', 'cancelled');
      const next = clearHistory(session_id, readSettings().sessionTimeoutMs);
      if (next === null) throw new Error('the session store did not answer');
      ipc.publish('agent.v1.session_changed', { old_session_id: session_id, new_session_id: next });
    }),
  },

  restarted: markInterrupted,
});
