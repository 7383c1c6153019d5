import type { AbiGeneration } from '../../abi/manifest.js';
import type { InvocationOutcome } from '../../supervisor/proc/invocation.js';
import { type ConformanceCase, rowOf, type Step, type Want } from './case.js';
import { decodeResults, type StepResult, statusBytes } from './script-guest.js';

/** What is wrong with what the guest read, in one line; null when it is as it must be. */
export function judge(one: ConformanceCase, generation: AbiGeneration, outcome: InvocationOutcome): string | null {
  const want = one.wantIn[generation] ?? one.want;
  const last = one.steps.at(-1)!;
  const caught = want.kind === 'ok' || isCaught(last.call, generation, want);
  if (outcome.kind === 'failed') {
    const { code, message } = outcome.fault;
    if (caught) return `expected ${describe(want)}, the call was ended: ${code}: ${message}`;
    return judgeFault(want, code, message);
  }
  if (outcome.error !== '') return `the guest said ${outcome.error}`;
  const results = decodeResults(outcome.output);
  if (one.anyStep) {
    const refused = results.find((result, index) => !succeeded(one.steps[index]!, generation, result));
    return judgeResult(last.call, generation, refused ?? results.at(-1)!, want);
  }
  const early = one.steps.slice(0, -1).findIndex((step, index) => !succeeded(step, generation, results[index]));
  if (early !== -1) return `step ${early} failed: ${show(results[early])}`;
  const result = results.at(-1);
  if (result === undefined || results.length !== one.steps.length) return `${results.length} steps answered`;
  if (!caught) return `expected ${describe(want)} to end the call, it answered ${show(result)}`;
  return judgeResult(last.call, generation, result, want);
}

/** The payload of a step that succeeded, for a later one to use. */
export function payloadOf(step: Step, generation: AbiGeneration, result: StepResult | undefined): Buffer {
  return (result?.bytes ?? Buffer.alloc(0)).subarray(statusBytes(step.call, generation));
}

function isCaught(call: string, generation: AbiGeneration, want: Want): boolean {
  if (generation === 3) return true;
  return generation === 2 && rowOf(call).hostResult && !(want.kind === 'fault' && want.uncatchable === true);
}

function succeeded(step: Step, generation: AbiGeneration, result: StepResult | undefined): boolean {
  return result !== undefined && (statusBytes(step.call, generation) === 0 || result.bytes[0] === 0);
}

function judgeResult(call: string, generation: AbiGeneration, result: StepResult, want: Want): string | null {
  const row = rowOf(call);
  const isVoid = row.returns === 'void' && generation !== 3;
  if (isVoid) return result.length === null && want.kind === 'ok' ? null : `a void call answered ${show(result)}`;
  const status = statusBytes(call, generation) === 1 ? result.bytes[0] : 0;
  const payload = result.bytes.subarray(statusBytes(call, generation));
  if (want.kind === 'ok') {
    if (status !== 0) return `expected ${describe(want)}, got ${show(result)}`;
    const bytes = (result.length ?? 0) - statusBytes(call, generation);
    return matches(want, payload, bytes) ? null : `expected ${want.shown}, got ${show(result)}`;
  }
  if (status !== 1) return `expected ${describe(want)}, got ${show(result)}`;
  if (generation !== 3) return judgeText(want, payload.toString('utf8'));
  const { code, message } = JSON.parse(payload.toString('utf8')) as { code: string; message: string };
  return judgeFault(want, code, message);
}

function matches(want: Extract<Want, { kind: 'ok' }>, payload: Buffer, bytes: number): boolean {
  try {
    return want.test(payload, bytes);
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof TypeError) return false;
    throw error;
  }
}

function judgeFault(want: Want, code: string, message: string): string | null {
  if (want.kind !== 'fault') return `expected ${describe(want)}, got ${code}: ${message}`;
  if (want.code !== code) return `expected ${want.code}, got ${code}: ${message}`;
  return judgeText(want, message);
}

function judgeText(want: Want, message: string): string | null {
  if (want.kind !== 'fault') return `expected ${describe(want)}, got ${message}`;
  if (message === '') return 'the error has no text';
  if (/(^|[\s"'(])\/(home|root|tmp|var|usr|proc)\//.test(message)) return `a host path is in the text: ${message}`;
  return want.text === undefined || want.text.test(message) ? null : `expected the text ${want.text}, got ${message}`;
}

function describe(want: Want): string {
  return want.kind === 'ok' ? `ok ${want.shown}` : want.code;
}

function show(result: StepResult | undefined): string {
  if (result === undefined) return 'nothing';
  const text = JSON.stringify(result.bytes.subarray(0, 200).toString('latin1'));
  return result.length === null ? 'nothing (void)' : `${result.length} bytes ${text}`;
}
