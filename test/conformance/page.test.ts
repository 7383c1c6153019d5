import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'tap';
import { SYSCALLS } from '../../abi/table.js';
import { PACKAGE_ROOT } from '../kit/package-root.js';
import type { CaseKind } from './case.js';
import { renderAbiPage } from './page.js';
import { CASES, PROFILES } from './registry.js';

test('docs/abi.md is what the table and the suite say now', (t) => {
  const page = readFileSync(join(PACKAGE_ROOT, 'docs/abi.md'), 'utf8');
  t.equal(page, renderAbiPage(), 'run: npm run docs:abi');
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
    const blocks = PROFILES.some((profile) => profile.call === name && profile.blocks === true);
    t.ok(has('good') || blocks, `${name}: the good case`);
    if (params.length > 0) t.ok(has('limit') && has('hostile'), `${name}: limits and hostile encodings`);
    if (capability !== null) t.ok(has('capability'), `${name}: a caller without ${capability}`);
  }
  t.end();
});

test('no two cases of a call have the same name', (t) => {
  for (const [call, cases] of CASES) {
    t.equal(new Set(cases.map(({ name }) => name)).size, cases.length, call);
  }
  t.end();
});
