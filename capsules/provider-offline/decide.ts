import { type LlmRequest, type Message, textOf, toolCallsOf } from 'astrid/sdk/llm';
import type { ToolResult } from 'astrid/sdk/payload';
import type { Step } from './grammar.js';
import { type Plan, planRequest } from './plan.js';
import {
  badJsonText,
  describeResults,
  HELP_TEXT,
  missingToolText,
  type StepResult,
  unknownText,
  WHO_TEXT,
} from './words.js';

/** What the "model" says next: words, or one tool call. */
export type Decision =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'call'; readonly id: string; readonly name: string; readonly args: Step['args'] };

/**
 * The next move in a conversation; a pure function of the request. Only the last user message is read as a request:
 * what files and tools say is data, whatever it looks like. Steps go one at a time, so a failure stops what follows.
 */
export function decide(request: LlmRequest): Decision {
  const last = request.messages.findLastIndex((message) => message.role === 'user');
  const user = request.messages[last];
  if (user === undefined) return say(WHO_TEXT);
  const plan = planRequest(textOf(user));
  if (plan.kind !== 'steps') return say(wordsFor(plan));
  const offered = new Set(request.tools.map((tool) => tool.name));
  const missing = plan.steps.find((step) => !offered.has(step.tool));
  if (missing !== undefined) return say(missingToolText(missing));
  const done = collectResults(plan.steps, request.messages.slice(last + 1));
  const failed = done.some(({ result }) => result.is_error);
  const next = plan.steps[done.length];
  if (next === undefined || failed) return say(describeResults(done, plan.steps.slice(done.length)));
  const turn = request.messages.filter((message) => message.role === 'user').length;
  return { kind: 'call', id: `call_${turn}_${done.length + 1}`, name: next.tool, args: next.args };
}

const say = (text: string): Decision => ({ kind: 'text', text });

function wordsFor(plan: Exclude<Plan, { kind: 'steps' }>): string {
  if (plan.kind === 'help') return HELP_TEXT;
  if (plan.kind === 'bad_json') return badJsonText(plan.part);
  return plan.kind === 'who' ? WHO_TEXT : unknownText(plan.part);
}

/** The steps that were called in this turn, each with its result; a call whose result is missing counts as failed. */
function collectResults(steps: readonly Step[], after: readonly Message[]): StepResult[] {
  const results = new Map<string, ToolResult>();
  for (const { role, content } of after) {
    if (role === 'tool' && typeof content === 'object' && 'call_id' in content) results.set(content.call_id, content);
  }
  const calls = after.flatMap(toolCallsOf).slice(0, steps.length);
  return calls.map((call, index) => {
    const lost = { call_id: call.id, content: 'internal: no result came back', is_error: true };
    return { step: steps[index] as Step, result: results.get(call.id) ?? lost };
  });
}
