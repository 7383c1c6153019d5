import * as ipc from 'astrid/sdk/ipc';
import type { StreamEvent } from 'astrid/sdk/llm';
import * as time from 'astrid/sdk/time';
import { endAnswered, endFailed } from './ending.js';
import { repeatRequest } from './model-step.js';
import { addEvent, answerOf, forgetAnswer, type PartialAnswer } from './partial.js';
import { startTools } from './tool-step.js';
import { addMessage, openTurns, type Turn } from './turn.js';

/** One event of a model's stream. Events for requests that nobody waits for any more are dropped. */
export function handleEvent(requestId: string, event: StreamEvent): void {
  const turn = openTurns().find((open) => open.phase === 'model' && open.requestId === requestId);
  if (turn === undefined) return;
  const answer = answerOf(requestId);
  if (answer === undefined) {
    repeatRequest(turn, 'the agent was restarted while it listened');
    return;
  }
  answer.lastEventMs = time.now();
  if (event === 'Done') {
    completeAnswer(turn, answer);
    return;
  }
  const problem = addEvent(answer, event);
  if (problem !== null) endFailed(turn, 'provider_failed', `The model could not answer: ${problem}`);
  else if ('TextDelta' in event) publishDelta(turn, event.TextDelta);
}

function publishDelta(turn: Turn, text: string): void {
  ipc.publish('agent.v1.stream.delta', { session_id: turn.sessionId, text, turn: turn.id });
}

function completeAnswer(turn: Turn, answer: PartialAnswer): void {
  forgetAnswer(turn.requestId);
  turn.usage.input_tokens += answer.usage.input_tokens;
  turn.usage.output_tokens += answer.usage.output_tokens;
  if (answer.calls.size === 0) {
    endAnswered(turn, answer.text === '' ? 'The model gave no answer.' : answer.text);
    return;
  }
  // A message is either text or calls (ABI reference 5.1), so words beside calls are a message of their own.
  if (answer.text !== '') addMessage(turn, { role: 'assistant', content: answer.text });
  const calls = [...answer.calls].map(([modelId, { name, args }]) => ({ modelId, name, args }));
  startTools(turn, calls, answer.offered);
}
