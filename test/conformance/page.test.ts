import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'tap';
import { SYSCALLS } from '../../abi/table.js';
import { PACKAGE_ROOT } from '../kit/package-root.js';
import { CALL_BOUNDS } from './bounds.js';
import type { CaseKind, ConformanceCase, Want } from './case.js';
import { GOOD_CASE } from './every-call.js';
import { renderAbiPage } from './page.js';
import { CASES, servedCases } from './registry.js';

test('docs/abi.md is what the table and the suite say now', (t) => {
  const page = readFileSync(join(PACKAGE_ROOT, 'docs/abi.md'), 'utf8');
  t.equal(page, renderAbiPage(), 'run: npm run docs:abi');
  t.end();
});

test('every call whose bounds are told is a call of the table', (t) => {
  const calls = new Set(SYSCALLS.map(({ name }) => name));
  t.same(
    Object.keys(CALL_BOUNDS).filter((name) => !calls.has(name)),
    [],
  );
  t.end();
});

test('every served call has cases, and each kind of case that its row calls for, and a row in docs/abi.md', (t) => {
  const rows = readFileSync(join(PACKAGE_ROOT, 'docs/abi.md'), 'utf8')
    .split('\n')
    .filter((line) => line.startsWith('|'));
  for (const { name, since, params, capability } of SYSCALLS) {
    const cases = CASES.get(name) ?? [];
    if (since === null && cases.length === 0) continue;
    t.ok(cases.length > 0, `${name}: a case`);
    t.ok(
      rows.some((line) => line.includes(` \`${name}\``) && !line.includes('not served yet')),
      `${name}: a row in docs/abi.md`,
    );
    const has = (kind: CaseKind) => cases.some((one) => one.kind === kind);
    t.ok(
      cases.some((one) => one.name === GOOD_CASE),
      `${name}: the good case`,
    );
    if (params.length > 0) t.ok(has('limit') && has('hostile'), `${name}: limits and hostile encodings`);
    if (capability !== null) t.ok(has('capability'), `${name}: a caller without ${capability}`);
  }
  t.end();
});

/** What answers no, that nothing is there, or nothing at all, though it is no fault. The first has all that a yes has, too. */
const REFUSALS: readonly string[] = [
  JSON.stringify({
    ...{ ok: false, found: false, allowed: false, exists: false, approved: false, killed: false, error: 'no' },
    ...{ user_id: '00000000-0000-4000-8000-000000000000', removed: true, links: [{}], link: { method: 'test' } },
  }),
  ...['ok', 'found', 'allowed', 'exists', 'killed'].map((field) => `{"${field}":false}`),
  '{"approved":false,"decision":"deny"}',
  '{"messages":[],"dropped":0,"lagged":0}',
  '{}',
  '[]',
  '',
];
/** Its answer is an empty handle whatever happens (ABI reference 2.6). */
const ANSWERS_NOTHING = 'astrid_net_bind_unix';

function accepts(want: Want, answer: string): boolean {
  try {
    return want.kind === 'ok' && want.test(Buffer.from(answer), Buffer.byteLength(answer));
  } catch {
    return false;
  }
}

test('the good case of a call is a success in each generation, and no refusal passes for it', (t) => {
  const wants = ({ want, wantIn }: ConformanceCase) => [want, ...Object.values(wantIn)];
  for (const [call, cases] of servedCases()) {
    for (const one of cases.filter(({ kind }) => kind === 'good')) {
      t.ok(
        wants(one).every(({ kind }) => kind === 'ok'),
        `${call}: ${one.name}`,
      );
    }
    if (SYSCALLS.find(({ name }) => name === call)?.returns === 'void' || call === ANSWERS_NOTHING) continue;
    for (const want of cases.filter(({ name }) => name === GOOD_CASE).flatMap(wants)) {
      t.same(
        REFUSALS.filter((answer) => accepts(want, answer)),
        [],
        `${call}: what is no success`,
      );
    }
  }
  t.end();
});

test('every parameter is tried at its limit and one byte past it', (t) => {
  for (const { name, params } of SYSCALLS.filter(({ since }) => since !== null)) {
    const names = CASES.get(name)?.map((one) => one.name) ?? [];
    const wanted = params.flatMap((param) => [
      `${param.name}: exactly the limit`,
      `${param.name}: one byte past the limit`,
    ]);
    t.same(
      wanted.filter((one) => !names.includes(one)),
      [],
      name,
    );
  }
  t.end();
});

test('no two cases of a call have the same name', (t) => {
  for (const [call, cases] of CASES) {
    t.equal(new Set(cases.map(({ name }) => name)).size, cases.length, call);
  }
  t.end();
});
