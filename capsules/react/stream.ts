import * as ipc from 'astrid/sdk/ipc';
import type { StreamEvent } from 'astrid/sdk/llm';
import * as time from 'astrid/sdk/time';
import { endAnswered, endFailed } from './ending.js';
import { repeatRequest } from './model-step.js';
import { addEvent, answerOf, forgetAnswer, type PartialAnswer } from './partial.js';
import { startTools } from './tool-step.js';
import { addMessage, loadTurn, openTurns, type Turn } from './turn.js';

/**
 * One event of a model's stream. Events for requests that nobody waits for any more are dropped. The words in the middle
 * of an answer need the answer in memory alone: they are many, and a read of the turn for each would be most of the cost.
 */
export function handleEvent(requestId: string, event: StreamEvent): void {
  const answer = answerOf(requestId);
  if (answer === undefined) {
    const turn = openTurns().find((open) => open.phase === 'model' && open.requestId === requestId);
    if (turn !== undefined) repeatRequest(turn, 'the agent was restarted while it listened');
    return;
  }
  answer.lastEventMs = time.now();
  const problem = event === 'Done' ? null : addEvent(answer, event);
  if (event !== 'Done' && problem === null) {
    if ('TextDelta' in event) publishDelta(answer, event.TextDelta);
    return;
  }
  const turn = loadTurn(answer.sessionId);
  if (turn?.requestId !== requestId) forgetAnswer(requestId);
  else if (problem !== null) endFailed(turn, 'provider_failed', `The model could not answer: ${problem}`);
  else completeAnswer(turn, answer);
}

function publishDelta({ sessionId, turnId }: PartialAnswer, text: string): void {
  ipc.publish('agent.v1.stream.delta', { session_id: sessionId, text, turn: turnId });
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
