import { asFault, type Fault } from '../abi/errno.js';

/** What one interceptor answered (ABI reference 3.3). */
export type InterceptResult =
  | { readonly kind: 'continue'; readonly payload?: Buffer }
  | { readonly kind: 'final'; readonly payload: Buffer }
  | { readonly kind: 'deny'; readonly reason: string };

/** One step of a chain: an interceptor of the manifest, and who runs it. */
export interface ChainStep {
  readonly endpoint: string;
  readonly action: string;
  /** Lower runs first; equal ones run in the order given. */
  readonly priority: number;
  /** What a crash or time-out of this step means: `open` skips it, `closed` denies. */
  readonly fail: 'open' | 'closed';
}

export interface ChainOutcome<S extends ChainStep> {
  readonly verdict: 'continue' | 'final' | 'deny';
  /** The payload after the last step that counted. */
  readonly payload: Buffer;
  /** The step that ended the chain, or null if none did. */
  readonly endedBy: S | null;
  /** Why, for `deny`; else null. */
  readonly reason: string | null;
  /** Steps that failed, each to be reported; they changed nothing. */
  readonly failures: readonly { readonly step: S; readonly fault: Fault }[];
}

const CODE_CONTINUE = 0x00;
const CODE_FINAL = 0x01;
const CODE_DENY = 0x02;
const REASON_CHARS_MAX = 1024;
const NULL_TEXT = Buffer.from('null');

/**
 * The output bytes of a hook, for guests of every ABI generation. The codes 0, 1 and 2 cannot be confused with the
 * JSON text that SDKs without codes emit, since that begins with a printable byte; any other first byte makes the
 * whole output the new payload. The text `null`, which the oldest SDKs write for "nothing", leaves the payload as it
 * was: the original passed it on, and the next handler then failed on it.
 */
export function decodeInterceptResult(bytes: Buffer): InterceptResult {
  if (bytes.length === 0 || bytes.equals(NULL_TEXT)) return { kind: 'continue' };
  const rest = bytes.subarray(1);
  switch (bytes[0]) {
    case CODE_CONTINUE:
      return rest.length === 0 ? { kind: 'continue' } : { kind: 'continue', payload: rest };
    case CODE_FINAL:
      return { kind: 'final', payload: rest };
    case CODE_DENY:
      return { kind: 'deny', reason: rest.toString('utf8').slice(0, REASON_CHARS_MAX) };
    default:
      return { kind: 'continue', payload: bytes };
  }
}

/** The order of a chain: priority ascending, ties as given. Does not change its input. */
export function orderChain<S extends ChainStep>(steps: readonly S[]): S[] {
  return steps.toSorted((a, b) => a.priority - b.priority);
}

/**
 * Runs a chain to its end. `invoke` runs one step and decodes its output; it rejects when the step crashed or ran out
 * of time. `runChain` itself never rejects: a failed step is listed in `failures`, and denies only if it says
 * `closed`.
 */
export async function runChain<S extends ChainStep>(
  steps: readonly S[],
  payload: Buffer,
  invoke: (step: S, payload: Buffer) => Promise<InterceptResult>,
): Promise<ChainOutcome<S>> {
  const failures: { step: S; fault: Fault }[] = [];
  let current = payload;
  for (const step of orderChain(steps)) {
    let result: InterceptResult;
    try {
      result = await invoke(step, current);
    } catch (thrown) {
      failures.push({ step, fault: asFault(thrown) });
      if (step.fail === 'open') continue;
      result = { kind: 'deny', reason: 'an interceptor that must not be skipped failed' };
    }
    if (result.kind === 'deny') {
      return { verdict: 'deny', payload: current, endedBy: step, reason: result.reason, failures };
    }
    if (result.kind === 'final') {
      return { verdict: 'final', payload: result.payload, endedBy: step, reason: null, failures };
    }
    current = result.payload ?? current;
  }
  return { verdict: 'continue', payload: current, endedBy: null, reason: null, failures };
}
