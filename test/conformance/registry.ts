import type { CallProfile, ConformanceCase } from './case.js';
import { rowOf } from './case.js';
import { APPROVAL } from './cases/approval.js';
import { FS } from './cases/fs.js';
import { IPC } from './cases/ipc.js';
import { KV } from './cases/kv.js';
import { OUTSIDE } from './cases/outside.js';
import { PEOPLE } from './cases/people.js';
import { SYS } from './cases/sys.js';
import { expandProfile } from './every-call.js';

export const PROFILES: readonly CallProfile[] = [...FS, ...IPC, ...KV, ...SYS, ...APPROVAL, ...PEOPLE, ...OUTSIDE];

/** All cases by call, in the order of the table of families above. */
export const CASES: ReadonlyMap<string, readonly ConformanceCase[]> = new Map(
  PROFILES.map((profile) => [profile.call, expandProfile(profile)]),
);

/** The cases of calls that this version serves. Those of others wait for their row to say since when. */
export function servedCases(): [string, readonly ConformanceCase[]][] {
  return [...CASES].filter(([call]) => rowOf(call).since !== null);
}
