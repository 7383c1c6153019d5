import * as ipc from 'astrid/sdk/ipc';
import type { Message } from 'astrid/sdk/llm';
import * as log from 'astrid/sdk/log';
import { appendHistory } from './history.js';
import { forgetAnswer } from './partial.js';
import { dropTurn, type Ending, type Outcome, readMessages, saveTurn, type Turn } from './turn.js';

/** The end of a turn: history, `agent.v1.turn.finished`, and the final `agent.v1.response`, in this order. */

/** Codes (`abi/errno.ts`) that mean a person, a rule, a budget or the machine said no, and the outcome each stands for. */
const REFUSALS: Readonly<Record<string, Outcome>> = {
  over_budget: 'over_budget',
  approval_denied: 'denied',
  policy_denied: 'denied',
  capability_missing: 'denied',
  approval_queued: 'queued',
  audit_unavailable: 'failed',
  no_space: 'failed',
  quota_exceeded: 'failed',
};
/** When a turn met several, the first of these is its outcome. */
const WORST_FIRST: readonly Outcome[] = ['over_budget', 'denied', 'queued', 'failed'];

/** The refusal an error result begins with (`code: message`), or null for any other error. */
export function refusalIn(content: string): string | null {
  const [code = ''] = content.split(':', 1);
  return Object.hasOwn(REFUSALS, code) ? code : null;
}

/** Ends a turn that the model answered. What was refused on the way decides the outcome. */
export function endAnswered(turn: Turn, text: string): void {
  const outcomes = new Set(turn.refusals.map((code) => REFUSALS[code]));
  const outcome = WORST_FIRST.find((candidate) => outcomes.has(candidate)) ?? 'ok';
  endTurn(turn, { outcome, reason: 'answered', text, whole: true });
}

/** Ends a turn without the model's answer; the text says what happened. */
export function endFailed(turn: Turn, reason: string, text: string, outcome: Outcome = 'failed'): void {
  endTurn(turn, { outcome, reason, text, whole: false });
}

/**
 * The ending is stored before anything is published: after a restart in between, the turn ends again with the same
 * words. A person may see an answer twice, but is never left without one.
 */
function endTurn(turn: Turn, ending: Ending): void {
  forgetAnswer(turn.requestId);
  turn.phase = 'finishing';
  turn.ending = ending;
  saveTurn(turn);
  remember(turn, ending);
  announceEnding(turn, ending);
}

/** Publishes the ending and forgets the turn. */
export function announceEnding(turn: Turn, ending: Ending): void {
  ipc.publish('agent.v1.turn.finished', {
    session_id: turn.sessionId,
    turn: turn.id,
    outcome: ending.outcome,
    reason: ending.reason,
    denied: turn.refusals,
    iterations: turn.iterations,
    tool_calls: turn.toolCalls,
    usage: turn.usage,
  });
  respond(turn.sessionId, ending.text, true);
  dropTurn(turn);
}

/**
 * Clears away a turn that nobody waits for any more, in favour of a new prompt. Not final: the client that sent the
 * prompt must not take these words for its answer.
 */
export function abandonTurn(turn: Turn, text: string): void {
  forgetAnswer(turn.requestId);
  if (turn.ending === null) remember(turn, { outcome: 'failed', reason: 'restarted', text, whole: false });
  respond(turn.sessionId, turn.ending?.text ?? text, false);
  dropTurn(turn);
}

export function respond(sessionId: string, text: string, isFinal: boolean): void {
  ipc.publish('agent.v1.response', { type: 'agent_response', text, is_final: isFinal, session_id: sessionId });
}

/** A turn that broke off keeps its prompt and its last words: calls without results would spoil every later request. */
function remember(turn: Turn, ending: Ending): void {
  const messages = readMessages(turn);
  const answer: Message = { role: 'assistant', content: ending.text };
  const [prompt] = messages;
  if (prompt === undefined) return;
  try {
    appendHistory(turn.sessionId, ending.whole ? [...messages, answer] : [prompt, answer]);
  } catch (thrown) {
    // The person's answer matters more than the history of it.
    log.error(`the turn could not be added to the history: ${(thrown as Error).message}`);
  }
}
