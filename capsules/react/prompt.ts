import * as ipc from 'astrid/sdk/ipc';
import * as log from 'astrid/sdk/log';
import { randomUuid } from 'astrid/sdk/random';
import * as time from 'astrid/sdk/time';
import { abandonTurn, announceEnding, endFailed, respond } from './ending.js';
import { findModel, requestModel } from './model-step.js';
import { readSettings } from './settings.js';
import { addMessage, loadTurn, newTurn, saveTurn, type Turn } from './turn.js';
import { isOverdue } from './watchdog.js';

/** Characters of one prompt: it becomes one KV value and one message. */
const PROMPT_CHARS_MAX = 250_000;
const CONTEXT_CHARS_MAX = 1000;

/** A prompt from a client. One turn at a time per session; sessions do not wait for each other. */
export function handlePrompt(sessionId: string, text: string, context: unknown): void {
  const open = loadTurn(sessionId);
  if (open !== undefined && !giveUp(open)) {
    // Not final: the client that waits for the running turn must not take this for its answer.
    const rejected = { session_id: sessionId, reason: 'already_running', running: open.id };
    ipc.publish('agent.v1.turn.rejected', { ...rejected, ...echoContext(context) });
    respond(sessionId, 'A turn is already running in this session; wait for it or cancel it.', false);
    return;
  }
  const turn = newTurn(randomUuid(), sessionId, time.now() + readSettings().streamingTimeoutMs);
  saveTurn(turn);
  if (text.trim() === '') endFailed(turn, 'empty_prompt', 'The prompt is empty.');
  else if (text.length > PROMPT_CHARS_MAX) {
    endFailed(turn, 'prompt_too_large', `The prompt has ${text.length} characters; at most ${PROMPT_CHARS_MAX} fit.`);
  } else {
    addMessage(turn, { role: 'user', content: text });
    saveTurn(turn);
    beginTurn(turn);
  }
}

/** The prompt's own context, so that of several clients the right one knows that it is meant. */
function echoContext(context: unknown): { context?: unknown } {
  return context === undefined || JSON.stringify(context).length > CONTEXT_CHARS_MAX ? {} : { context };
}

/** Also where a turn goes on whose prompt was stored when this capsule was restarted. */
export function beginTurn(turn: Turn): void {
  if (findModel(turn)) requestModel(turn);
}

/** `context.action = cancel_turn` with an empty text (ABI reference 5.5). Without a turn there is nothing to cancel. */
export function handleCancel(sessionId: string): void {
  const turn = loadTurn(sessionId);
  if (turn === undefined) return;
  if (turn.phase === 'finishing' && turn.ending !== null) {
    announceEnding(turn, turn.ending);
    return;
  }
  const call_ids = turn.calls.filter((call) => turn.phase === 'tools' && !call.done).map((call) => call.callId);
  if (call_ids.length > 0) ipc.publish('tool.v1.request.cancel', { type: 'tool_cancel_request', call_ids });
  endFailed(turn, 'cancelled', 'Cancelled.', 'cancelled');
}

/** Ends a turn that nothing will end any more, so that it cannot lock its session; false for one that is alive. */
function giveUp(turn: Turn): boolean {
  const alive = turn.interruptedAtMs === 0 && !isOverdue(turn, time.now());
  if (alive && turn.phase !== 'finishing') return false;
  log.warn(`turn ${turn.id} is given up for a new prompt`);
  abandonTurn(turn, 'The agent was restarted in the middle of the turn before this one.');
  return true;
}
