import * as time from 'astrid/sdk/time';
import { announceEnding, endFailed } from './ending.js';
import { repeatRequest } from './model-step.js';
import { answerOf } from './partial.js';
import { readSettings } from './settings.js';
import { goOnWhenDone, settleOpenCalls } from './tool-step.js';
import { isLeftBehind, openTurns, saveTurn, type Turn } from './turn.js';

/**
 * Turns that wait for something that will not come. The kernel ticks every 5 s.
 *
 * Everything published here belongs to the session of the tick. A tick that names no session must therefore not start
 * anything (a tool would run in no overlay or in a wrong one); it may only end turns with an honest answer.
 */
export type Scope = { readonly sessionId: string } | 'unknown';

/** After a restart the kernel tells what was lost (`astrid.v1.delivery.failed`); this long it has the first word. */
const GRACE_MS = 4000;

export function sweepTurns(scope: Scope): void {
  const nowMs = time.now();
  for (const turn of openTurns()) {
    if (scope !== 'unknown' && scope.sessionId !== turn.sessionId) continue;
    if (turn.phase === 'finishing' && turn.ending !== null) announceEnding(turn, turn.ending);
    else if (turn.interruptedAtMs > 0 && nowMs - turn.interruptedAtMs > GRACE_MS) resumeTurn(turn, scope);
    else if (isOverdue(turn, nowMs)) endStep(turn, scope);
  }
}

/** Marks what was open when this capsule died. A restart acts for nobody, so nothing can be said or asked from here. */
export function markInterrupted(): void {
  const nowMs = time.now();
  for (const turn of openTurns().filter(isLeftBehind)) {
    turn.interruptedAtMs = nowMs;
    saveTurn(turn);
  }
}

/** A stream that still speaks is not overdue, however long it takes. */
export function isOverdue(turn: Turn, nowMs: number): boolean {
  const answer = turn.phase === 'model' ? answerOf(turn.requestId) : undefined;
  const silentSinceMs = answer === undefined ? 0 : answer.lastEventMs + readSettings().streamingTimeoutMs;
  return nowMs > Math.max(turn.deadlineMs, silentSinceMs);
}

/** Goes on where the turn stood: the model is asked again, and tools that are still at work are waited for. */
function resumeTurn(turn: Turn, scope: Scope): void {
  const open = turn.phase === 'tools' && turn.calls.some((call) => !call.done);
  if (open) {
    turn.interruptedAtMs = 0;
    saveTurn(turn);
  } else if (scope === 'unknown' || turn.phase === 'starting') {
    endFailed(turn, 'restarted', 'The agent was restarted in the middle of this turn, ask again.');
  } else if (turn.phase === 'tools') {
    goOnWhenDone(turn);
  } else {
    repeatRequest(turn, 'the agent was restarted');
  }
}

function endStep(turn: Turn, scope: Scope): void {
  const { streamingTimeoutMs, toolTimeoutMs } = readSettings();
  if (turn.phase === 'tools' && scope !== 'unknown') {
    settleOpenCalls(turn, (call) => `timed_out: ${call.name} gave no result within ${toolTimeoutMs / 1000} s`);
  } else if (turn.phase === 'tools') {
    const names = turn.calls.filter((call) => !call.done).map((call) => call.name);
    endFailed(
      turn,
      'tool_timed_out',
      `The tool ${names.join(', ')} gave no result in ${toolTimeoutMs / 1000} s.`,
      'timed_out',
    );
  } else {
    const text = `The model said nothing for ${streamingTimeoutMs / 1000} s, so I stopped.`;
    endFailed(turn, 'model_timed_out', text, 'timed_out');
  }
}
