import type { CallProfile, ConformanceCase } from './case.js';
import { rowOf } from './case.js';
import { APPROVAL } from './cases/approval.js';
import { FS } from './cases/fs.js';
import { HTTP } from './cases/http.js';
import { IPC } from './cases/ipc.js';
import { KV } from './cases/kv.js';
import { LIFECYCLE } from './cases/lifecycle.js';
import { NET } from './cases/net.js';
import { PEOPLE } from './cases/people.js';
import { PROCESS } from './cases/process.js';
import { SYS } from './cases/sys.js';
import { expandProfile } from './every-call.js';

export const PROFILES: readonly CallProfile[] = [
  ...FS,
  ...IPC,
  ...KV,
  ...SYS,
  ...APPROVAL,
  ...PEOPLE,
  ...LIFECYCLE,
  ...HTTP,
  ...NET,
  ...PROCESS,
];

/** All cases by call, in the order of the table of families above. */
export const CASES: ReadonlyMap<string, readonly ConformanceCase[]> = new Map(
  PROFILES.map((profile) => [profile.call, expandProfile(profile)]),
);

/** The cases of calls that this version serves. Those of others wait for their row to say since when. */
export function servedCases(): [string, readonly ConformanceCase[]][] {
  return [...CASES].filter(([call]) => rowOf(call).since !== null);
}
