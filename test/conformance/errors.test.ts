import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'tap';
import { isFaultCode } from '../../abi/errno.js';
import { GATE_CODES } from '../../abi/syscalls/row.js';
import { SYSCALLS } from '../../abi/table.js';
import { PACKAGE_ROOT } from '../kit/package-root.js';
import { HARDSHIPS } from './hardships.js';
import { CASES } from './registry.js';
import { TRIED_ELSEWHERE } from './tried-elsewhere.js';

/** Every `call code` that a conformance case wants, in any generation. */
const TRIED = new Set(
  [...[...CASES.values()].flat(), ...HARDSHIPS.flatMap(({ cases }) => cases)].flatMap(({ call, want, wantIn }) =>
    [want, ...Object.values(wantIn)].flatMap((one) => (one.kind === 'fault' ? [`${call} ${one.code}`] : [])),
  ),
);
const DECLARED = SYSCALLS.flatMap(({ name, errors }) => errors.map((code) => `${name} ${code}`));

test('no conformance case wants a code that the row of its call does not declare', (t) => {
  const gated = SYSCALLS.filter(({ path }) => path === 'supervisor').flatMap(({ name }) =>
    GATE_CODES.map((code) => `${name} ${code}`),
  );
  const known = new Set([...DECLARED, ...gated]);
  t.same(
    [...TRIED].filter((one) => !known.has(one)),
    [],
  );
  t.end();
});

test('the codes of a row are sorted and each is there once, with too_large and capability_missing where the row implies them', (t) => {
  for (const { name, errors, params, capability } of SYSCALLS) {
    t.same(errors, [...new Set(errors)].sort(), name);
    t.equal(errors.includes('too_large'), params.length > 0, `${name}: arguments have bounds`);
    // Identities tell it inside their answer.
    if (capability !== null && capability !== 'identity') t.ok(errors.includes('capability_missing'), name);
  }
  t.end();
});

test('every declared code is wanted by a conformance case or tried in a test file that is named', (t) => {
  t.same(
    DECLARED.filter((one) => !TRIED.has(one) && TRIED_ELSEWHERE[one] === undefined),
    [],
  );
  t.end();
});

test('a test file that is named for a code is there, makes the call and expects the code', (t) => {
  for (const [one, [file, call]] of Object.entries(TRIED_ELSEWHERE)) {
    const code = one.split(' ')[1];
    t.ok(isFaultCode(code) && DECLARED.includes(one), `${one} is declared`);
    const text = readFileSync(join(PACKAGE_ROOT, 'test', file), 'utf8');
    t.ok(text.includes(call), `${one}: ${file} has ${call}`);
    t.match(text, new RegExp(`['"/]${code}`), `${one}: ${file} has the code`);
  }
  t.end();
});
