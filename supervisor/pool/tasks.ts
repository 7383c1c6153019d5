import { blake3 } from '@noble/hashes/blake3.js';
import { move, transferableSymbol, valueSymbol } from 'piscina';
import { asFault, type FaultCode } from '../../abi/errno.js';
import { inspectModule as inspect, type ModuleReport } from '../capsule/inspect.js';

/** Task names and what each makes of the bytes it is given. */
export interface TaskResults {
  hashBlake3: string;
  inspectModule: ModuleReport;
}
export type TaskName = keyof TaskResults;

/**
 * What a thread answers. An error that is thrown across threads loses its class and its fields, so a task never
 * throws: a Fault travels as data and becomes a Fault again on the other side. The bytes go back without a copy.
 */
export type TaskReply<T> =
  | { readonly ok: true; readonly value: T; readonly bytes: ArrayBuffer }
  | { readonly ok: false; readonly code: FaultCode; readonly message: string; readonly field: string | undefined };

/** BLAKE3 in lowercase hex. */
export function hashBlake3(bytes: ArrayBuffer): unknown {
  return reply<'hashBlake3'>(bytes, (view) => Buffer.from(blake3(view)).toString('hex'));
}

export function inspectModule(bytes: ArrayBuffer): unknown {
  return reply<'inspectModule'>(bytes, inspect);
}

function reply<Name extends TaskName>(bytes: ArrayBuffer, work: (view: Uint8Array) => TaskResults[Name]): unknown {
  try {
    const answer: TaskReply<TaskResults[Name]> = { ok: true, value: work(new Uint8Array(bytes)), bytes };
    return move({ [transferableSymbol]: [bytes], [valueSymbol]: answer });
  } catch (thrown) {
    const { code, message, field } = asFault(thrown);
    const answer: TaskReply<never> = { ok: false, code, message, field };
    return answer;
  }
}
