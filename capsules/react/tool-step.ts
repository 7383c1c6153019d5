import * as ipc from 'astrid/sdk/ipc';
import * as time from 'astrid/sdk/time';
import { refusalIn } from './ending.js';
import { cutContent } from './fit.js';
import { requestModel } from './model-step.js';
import { readSettings } from './settings.js';
import { addMessage, type CallState, putMessage, saveTurn, type Turn } from './turn.js';

/** A call as the model streamed it: the arguments are text until they are parsed here. */
export interface RequestedCall {
  readonly modelId: string;
  readonly name: string;
  readonly args: string;
}

interface ParsedCall extends RequestedCall {
  readonly value: unknown;
  /** Why the call is answered here and goes nowhere, or null. */
  readonly problem: string | null;
}

/** Runs all calls of one model answer, side by side. The next model request follows the last result. */
export function startTools(turn: Turn, calls: readonly RequestedCall[], offered: ReadonlySet<string>): void {
  const parsed = calls.map((call) => parseCall(call, offered));
  const content = parsed.map(({ modelId, name, value }) => ({ id: modelId, name, arguments: value }));
  addMessage(turn, { role: 'assistant', content });
  turn.phase = 'tools';
  turn.calls = parsed.map(({ modelId, name }, index) => ({
    callId: `${turn.id}-${turn.toolCalls + index + 1}`,
    modelId,
    name,
    slot: turn.messageCount + index,
    done: false,
  }));
  turn.toolCalls += parsed.length;
  turn.messageCount += parsed.length;
  turn.deadlineMs = time.now() + readSettings().toolTimeoutMs;
  saveTurn(turn);
  for (const [index, call] of turn.calls.entries()) {
    const { problem, value } = parsed[index] as ParsedCall;
    const failure = problem ?? publishCall(call, value);
    if (failure !== null) storeResult(turn, call, failure, true);
  }
  goOnWhenDone(turn);
}

/** One result, from the tool or about it. A call that is settled already keeps its first result. */
export function settleCall(turn: Turn, callId: string, content: string, isError: boolean): void {
  const call = turn.calls.find((candidate) => candidate.callId === callId);
  if (turn.phase !== 'tools' || call === undefined || call.done) return;
  turn.interruptedAtMs = 0;
  storeResult(turn, call, content, isError);
  goOnWhenDone(turn);
}

/** Every call that is still open gets the same error. */
export function settleOpenCalls(turn: Turn, content: (call: CallState) => string): void {
  for (const call of turn.calls) if (!call.done) storeResult(turn, call, content(call), true);
  goOnWhenDone(turn);
}

/** Asks the model again once all results are there; also after a restart that came between the last one and this. */
export function goOnWhenDone(turn: Turn): void {
  if (turn.phase === 'tools' && turn.calls.every((call) => call.done)) requestModel(turn);
}

/** The result is stored before the call counts as done, so that `done` is never true without it. */
function storeResult(turn: Turn, call: CallState, content: string, isError: boolean): void {
  const result = { call_id: call.modelId, content: cutContent(content), is_error: isError };
  putMessage(turn, call.slot, { role: 'tool', content: result });
  call.done = true;
  const refusal = isError ? refusalIn(content) : null;
  if (refusal !== null) turn.refusals.push(refusal);
  saveTurn(turn);
}

function publishCall(call: CallState, value: unknown): string | null {
  try {
    ipc.publish('tool.v1.request.execute', {
      type: 'tool_execute_request',
      call_id: call.callId,
      tool_name: call.name,
      arguments: value,
    });
    return null;
  } catch (thrown) {
    return `internal: the call could not be sent: ${(thrown as Error).message}`;
  }
}

/** A tool that nobody offers would never answer, so it is refused here and not after its time-out. */
function parseCall(call: RequestedCall, offered: ReadonlySet<string>): ParsedCall {
  if (!offered.has(call.name)) return { ...call, value: {}, problem: `not_found: there is no tool named ${call.name}` };
  try {
    return { ...call, value: call.args.trim() === '' ? {} : JSON.parse(call.args), problem: null };
  } catch {
    return { ...call, value: {}, problem: 'invalid_argument: the arguments are not valid JSON' };
  }
}
