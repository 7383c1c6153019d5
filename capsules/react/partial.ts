import type { StreamEvent } from 'astrid/sdk/llm';
import type { Turn } from './turn.js';

/**
 * What a model has said so far, per request. Held in memory alone: writing every word to KV would cost more than the
 * words, and after a restart the request is made again. An entry that is missing is how a restart is noticed; one that
 * is there belongs to a turn that waits for it, because whatever ends the waiting forgets the answer.
 */
export interface PartialAnswer {
  readonly sessionId: string;
  readonly turnId: string;
  text: string;
  readonly calls: Map<string, { readonly name: string; args: string }>;
  readonly offered: ReadonlySet<string>;
  usage: { input_tokens: number; output_tokens: number };
  chars: number;
  lastEventMs: number;
}

/** Characters of one answer, arguments included: it must fit a KV value. */
export const ANSWER_CHARS_MAX = 300_000;
export const CALLS_PER_STEP_MAX = 32;
const ANSWERS_MAX = 64;

const answers = new Map<string, PartialAnswer>();

export function beginAnswer(turn: Turn, offered: ReadonlySet<string>, nowMs: number): void {
  const [oldest] = answers.keys();
  if (answers.size >= ANSWERS_MAX && oldest !== undefined) answers.delete(oldest);
  const usage = { input_tokens: 0, output_tokens: 0 };
  const { sessionId, id: turnId } = turn;
  const empty = { text: '', calls: new Map(), usage, chars: 0, lastEventMs: nowMs };
  answers.set(turn.requestId, { sessionId, turnId, offered, ...empty });
}

export function answerOf(requestId: string): PartialAnswer | undefined {
  return answers.get(requestId);
}

export function forgetAnswer(requestId: string): void {
  answers.delete(requestId);
}

/** Adds an event. Gives the reason when the answer cannot be used any more. */
export function addEvent(answer: PartialAnswer, event: Exclude<StreamEvent, 'Done'>): string | null {
  if ('TextDelta' in event) {
    answer.text += event.TextDelta;
    answer.chars += event.TextDelta.length;
  } else if ('ToolCallStart' in event) {
    answer.calls.set(event.ToolCallStart.id, { name: event.ToolCallStart.name, args: '' });
    answer.chars += event.ToolCallStart.name.length;
  } else if ('ToolCallDelta' in event) {
    const call = answer.calls.get(event.ToolCallDelta.id);
    if (call === undefined) return 'it sent arguments for a tool call that it had not begun';
    call.args += event.ToolCallDelta.args_delta;
    answer.chars += event.ToolCallDelta.args_delta.length;
  } else if ('Usage' in event) {
    answer.usage = event.Usage;
  } else if ('Error' in event) {
    return event.Error;
  }
  if (answer.chars > ANSWER_CHARS_MAX) return `its answer is longer than ${ANSWER_CHARS_MAX} characters`;
  return answer.calls.size > CALLS_PER_STEP_MAX ? `it made more than ${CALLS_PER_STEP_MAX} tool calls at once` : null;
}
