import fc from 'fast-check';
import { asFault, Fault, type FaultCode } from '../../abi/errno.js';

/** Slower than this on one input is a finding: what is fed is small, and a guard that hangs is no guard. */
const CASE_MS_MAX = 3_000;

export interface Finding {
  readonly executions: number;
  /** What fast-check says about the smallest input found, or null. */
  readonly report: string | null;
}

/** One promise about any input. */
export interface FuzzProperty {
  readonly name: string;
  /** Executions of one round. */
  readonly runs: number;
  /** `beat` is called before each execution. */
  check(seed: number, runs: number, beat: () => void): Promise<Finding>;
}

export type FuzzTarget = readonly FuzzProperty[];

/** `holds` answers false, throws, or takes too long for an input that breaks the promise. */
export function property<T>(
  name: string,
  runs: number,
  input: fc.Arbitrary<T>,
  holds: (value: T) => boolean,
): FuzzProperty {
  const check: FuzzProperty['check'] = async (seed, numRuns, beat) => {
    const timed = (value: T) => {
      beat();
      const began = performance.now();
      return holds(value) && isInTime(began);
    };
    return toFinding(fc.check(fc.property(input, timed), { seed, numRuns }));
  };
  return { name, runs, check };
}

export function asyncProperty<T>(
  name: string,
  runs: number,
  input: fc.Arbitrary<T>,
  holds: (value: T) => Promise<boolean>,
): FuzzProperty {
  const check: FuzzProperty['check'] = async (seed, numRuns, beat) => {
    const timed = async (value: T) => {
      beat();
      const began = performance.now();
      return (await holds(value)) && isInTime(began);
    };
    return toFinding(await fc.check(fc.asyncProperty(input, timed), { seed, numRuns }));
  };
  return { name, runs, check };
}

function isInTime(began: number): boolean {
  const tookMs = performance.now() - began;
  if (tookMs > CASE_MS_MAX) throw new Error(`took ${Math.round(tookMs)} ms`);
  return true;
}

function toFinding<T>(details: fc.RunDetails<T>): Finding {
  return { executions: details.numRuns, report: fc.defaultReportMessage(details) ?? null };
}

/** The result, or null for a Fault with one of these codes. Anything else that is thrown is a finding. */
export function answerOf<T>(codes: readonly FaultCode[], work: () => T): T | null {
  try {
    return work();
  } catch (thrown) {
    return refuseOther(codes, thrown);
  }
}

export async function asyncAnswerOf<T>(codes: readonly FaultCode[], work: () => Promise<T>): Promise<T | null> {
  try {
    return await work();
  } catch (thrown) {
    return refuseOther(codes, thrown);
  }
}

function refuseOther(codes: readonly FaultCode[], thrown: unknown): null {
  if (thrown instanceof Fault && codes.includes(asFault(thrown).code)) return null;
  throw thrown;
}

/** A few changes of a text or of bytes, each at a place between 0 (the start) and 1 (the end). */
export interface Edit {
  readonly at: number;
  readonly remove: number;
  readonly insert: Buffer;
}

export function editsOf(insert: fc.Arbitrary<Buffer>, removeMax = 40): fc.Arbitrary<Edit[]> {
  const at = fc.integer({ min: 0, max: 65_536 }).map((part) => part / 65_536);
  return fc.array(fc.record({ at, remove: fc.nat(removeMax), insert }), { minLength: 1, maxLength: 5 });
}

export function applyEdits(bytes: Buffer, edits: readonly Edit[]): Buffer {
  return edits.reduce((now, { at, remove, insert }) => {
    const from = Math.floor(at * now.length);
    return Buffer.concat([now.subarray(0, from), insert, now.subarray(from + remove)]);
  }, bytes);
}
