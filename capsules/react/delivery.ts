import type { Message } from 'astrid/sdk/llm';
import * as log from 'astrid/sdk/log';
import { type DeliveryFailed, unwrap } from 'astrid/sdk/payload';
import * as time from 'astrid/sdk/time';
import { forgetProvider } from './discover.js';
import { announceEnding, respond } from './ending.js';
import { appendHistory } from './history.js';
import { repeatRequest } from './model-step.js';
import { beginTurn } from './prompt.js';
import { noteCrash } from './recent.js';
import { goOnWhenDone, settleCall, settleOpenCalls } from './tool-step.js';
import { loadTurn, openTurns, saveTurn, type Turn } from './turn.js';

/**
 * `astrid.v1.delivery.failed`: a capsule crashed, was killed or ran out of time with a message in its hands. The kernel
 * says so in the session of that message, so everything here may act for it.
 */

const SELF = 'react';
const APPENDS_MAX = 2;
/** Codes of a message that nobody took up: its capsule was stopped, or is not started again. All others are crashes. */
const NOT_TAKEN: ReadonlySet<string> = new Set(['cancelled', 'not_ready']);

interface Lost {
  readonly failure: DeliveryFailed;
  /** The fields of the lost message. */
  readonly fields: Readonly<Record<string, unknown>>;
}

/** What to do about a lost message, by its topic; the first row that fits. */
const ROWS: readonly { readonly topic: RegExp; recover(lost: Lost): void }[] = [
  { topic: /^llm\.v1\.request\.generate\./, recover: repeatLostRequest },
  { topic: /^llm\.v1\.stream\./, recover: repeatLostStream },
  { topic: /^tool\.v1\.execute\.result$/, recover: takeLostResult },
  { topic: /^tool\.v1\./, recover: failLostCall },
  { topic: /^user\.v1\.prompt$/, recover: restartPrompt },
  { topic: /^session\.v1\.append$/, recover: appendAgain },
];

export function handleFailure(failure: DeliveryFailed): void {
  const fields = unwrap(failure.payload);
  if (typeof fields !== 'object' || fields === null) return;
  const row = ROWS.find(({ topic }) => topic.test(failure.topic));
  row?.recover({ failure, fields: fields as Record<string, unknown> });
}

/** The provider died, or takes nothing any more; then another one is asked, if there is one. */
function repeatLostRequest({ failure, fields }: Lost): void {
  if (NOT_TAKEN.has(failure.code)) forgetProvider(failure.topic);
  else noteCrash(time.now());
  const turn = turnOfRequest(fields['request_id']);
  if (turn !== undefined) repeatRequest(turn, `the provider stopped (${shortReason(failure)})`);
}

/**
 * This capsule died with an event in its hands. In the middle of an answer, the answer has a hole and is asked for
 * again. After its end, some calls may have been sent and some not: none is sent twice, the model is told instead.
 */
function repeatLostStream({ failure, fields }: Lost): void {
  const turn = openTurns().find((open) => open.requestId === fields['request_id']);
  if (failure.capsule_id !== SELF || turn === undefined) return;
  if (turn.phase === 'model') repeatRequest(turn, 'the agent was restarted while it listened');
  else if (turn.phase === 'tools')
    settleOpenCalls(turn, () => 'crashed: the agent was restarted; the tool may or may not have run');
  else continueTurn(turn);
}

/** This capsule died with a result in its hands. It is taken now; settling twice does nothing. */
function takeLostResult({ failure, fields }: Lost): void {
  if (failure.capsule_id !== SELF) return;
  const result = fields['result'] as { content?: unknown; is_error?: unknown } | undefined;
  const turn = turnOfCall(fields['call_id']);
  if (turn === undefined || typeof result?.content !== 'string') return;
  settleCall(turn, String(fields['call_id']), result.content, result.is_error === true);
  continueTurn(turn);
}

/** The router or the tool died. Whether the tool had done its work by then decides what may be said. */
function failLostCall({ failure, fields }: Lost): void {
  const turn = turnOfCall(fields['call_id']);
  if (turn === undefined) return;
  const after = failure.topic.endsWith('.result');
  const text = after
    ? `crashed: the tool ran, but its result was lost (${shortReason(failure)}); look before you repeat it`
    : `crashed: the tool stopped before it answered (${shortReason(failure)}); it may have done part of its work`;
  settleCall(turn, String(fields['call_id']), text, true);
}

/** This capsule died on a prompt. With the prompt stored, the turn begins again, once; else the person must ask again. */
function restartPrompt({ failure, fields }: Lost): void {
  const { session_id, text } = fields;
  if (failure.capsule_id !== SELF || typeof session_id !== 'string' || text === '') return;
  const turn = loadTurn(session_id);
  if (turn === undefined) respond(session_id, `Your prompt was lost (${shortReason(failure)}), ask again.`, true);
  else if (turn.phase === 'starting' && turn.repeats === 0 && turn.messageCount > 0) {
    turn.repeats++;
    saveTurn(turn);
    beginTurn(turn);
  } else continueTurn(turn);
}

/** A turn that stopped between two steps, with nothing outstanding that could wake it. */
function continueTurn(turn: Turn): void {
  if (turn.phase === 'finishing' && turn.ending !== null) announceEnding(turn, turn.ending);
  else goOnWhenDone(turn);
}

/** The session capsule died. Twice is enough: a history that kills it would be offered for ever. */
function appendAgain({ fields }: Lost): void {
  const { session_id, messages, attempt } = fields;
  const tries = typeof attempt === 'number' ? attempt : 1;
  if (typeof session_id !== 'string' || !Array.isArray(messages)) return;
  if (tries < APPENDS_MAX) appendHistory(session_id, messages as Message[], tries + 1);
  else log.error(`a turn of session ${session_id} could not be added to its history`);
}

/** `astrid.v1.health.failed`: a process ended by itself, and the kernel may be starting it again. */
export function handleCrash(capsule: string): void {
  // This capsule's own end is not why another one is silent.
  if (capsule !== SELF) noteCrash(time.now());
}

/** One line: a reason may be a stack trace, and goes to people and models. */
function shortReason({ reason }: DeliveryFailed): string {
  const [line = ''] = reason.split('\n', 1);
  return line.length > 200 ? `${line.slice(0, 200)}…` : line;
}

function turnOfRequest(requestId: unknown): Turn | undefined {
  return openTurns().find((turn) => turn.phase === 'model' && turn.requestId === requestId);
}

function turnOfCall(callId: unknown): Turn | undefined {
  return openTurns().find((turn) => turn.calls.some((call) => call.callId === callId));
}
