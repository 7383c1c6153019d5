import { LIMITS } from '../../abi/limits.js';
import {
  type Arg,
  type CallProfile,
  type CaseKind,
  type ConformanceCase,
  casesOf,
  fill,
  NOT_UTF8,
  NOTHING,
  raw,
  rowOf,
  STALE,
  trap,
  type Want,
} from './case.js';

const PAST_ALL_MEMORY = 2n ** 62n;

/** The texts of their own for a limit (ABI reference 1.6 and 2.2). */
const OWN_TEXTS: Readonly<Record<string, RegExp>> = {
  topic: /^Topic exceeds maximum allowed length \(256 bytes\)$/,
  pattern: /^Topic exceeds maximum allowed length \(256 bytes\)$/,
};

/** All cases of a call: what every parameter must bear, made from the table, and its own. */
export function expandProfile(profile: CallProfile): ConformanceCase[] {
  const row = rowOf(profile.call);
  if (row.params.length !== profile.params.length) throw new Error(`${profile.call}: a profile for each parameter`);
  const made = row.params.flatMap((spec, index) => {
    const param = profile.params[index]!;
    const one = (name: string, arg: Arg, want: Want, kind: CaseKind) =>
      makeCase(profile, `${spec.name}: ${name}`, index, arg, want, kind);
    const tooLarge = trap(
      'too_large',
      OWN_TEXTS[spec.name] ?? /^memory allocation of \d+ bytes exceeds maximum allowed limit of \d+ bytes$/,
    );
    const cases = [
      one('offset 0', raw(0n), param.empty, 'hostile'),
      one('offset -1', raw(-1n), param.empty, 'hostile'),
      one('an offset past all memory', raw(PAST_ALL_MEMORY), param.empty, 'hostile'),
      one('a block that was given back', STALE, param.empty, 'hostile'),
      one('no bytes', NOTHING, param.empty, 'hostile'),
      one('not UTF-8', NOT_UTF8, param.notUtf8, 'hostile'),
      one('exactly the limit', param.edge.arg, param.edge.want, 'limit'),
      one('one byte past the limit', fill(spec.bytesMax + 1), tooLarge, 'limit'),
    ];
    if (spec.bytesMax < LIMITS.payloadBytesMax) {
      cases.push(one('10 MiB', fill(LIMITS.payloadBytesMax), tooLarge, 'hostile'));
    }
    return cases;
  });
  return [makeGoodCase(profile), ...made, ...profile.cases];
}

/** What the call is for. */
export const GOOD_CASE = 'as it is meant';

function makeGoodCase(profile: CallProfile): ConformanceCase {
  const { good: want, goodIn: wantIn = {}, params, meant = {} } = profile;
  const args = params.map(({ valid }) => valid);
  return casesOf(profile.call, [
    { args, ...sharedOf(profile), ...meant, name: GOOD_CASE, want, wantIn, kind: 'good' },
  ])[0]!;
}

function sharedOf({
  entry = 'astrid_hook_trigger',
  role = 'full',
  setup = [],
  before = [],
  visitors = 0,
}: CallProfile) {
  return { entry, role, steps: setup, before, visitors };
}

function makeCase(
  profile: CallProfile,
  name: string,
  index: number,
  arg: Arg,
  want: Want,
  kind: CaseKind,
): ConformanceCase {
  const args = profile.params.map((param, at) => (at === index ? arg : param.valid));
  return casesOf(profile.call, [{ name, args, want, kind, ...sharedOf(profile) }])[0]!;
}
