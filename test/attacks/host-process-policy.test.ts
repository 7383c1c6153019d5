import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Test } from 'tap';
import { test } from 'tap';
import { parseConfig } from '../../supervisor/config.js';
import { makePathRule } from '../../supervisor/gate/policy.js';
import { parseGuestPath } from '../../supervisor/vfs/path.js';
import { callerOf, changesOf, makeBench } from '../host-process/kit.js';
import { jailMissing } from '../kit/worker-bench.js';

const skip = await jailMissing();
const TREE = {
  a: '1',
  '.env': 'SECRET-1',
  'd/.env': 'SECRET-2',
  'd/b': '2',
  'keys/one': 'SECRET-3',
  'keys/deep/two': 'SECRET-4',
};

function ruleOf(...denyPaths: string[]) {
  return makePathRule(parseConfig(`[policy]\ndeny_paths = ${JSON.stringify(denyPaths)}\n`).policy, 'cwd://');
}

const makeDenied = (t: Test, ...patterns: string[]) => makeBench(t, TREE, {}, ruleOf('home://.ssh/**', ...patterns));

test('paths that the policy blocks, looked for by a command, cannot be read', { skip }, async (t) => {
  const bench = await makeDenied(t, '**/.env', 'cwd://keys/**');
  const { stdout } = await bench.sh(
    'cat a d/b; cat .env d/.env keys/one keys/deep/two 2>&1; grep -r SECRET . 2>&1; ln .env l; ln -s d/.env s; cat l s 2>&1; cp -r d e; cat e/.env; mv d f; cat f/.env; mv keys k; cat k/one; ls -A keys',
  );
  t.match(stdout, /^12/);
  t.notMatch(stdout, /SECRET/);
});

test('paths that the policy blocks, written or removed by a command, stay as they are', { skip }, async (t) => {
  const bench = await makeDenied(t, '**/.env', 'cwd://keys/**', 'cwd://made/**');
  await bench.sh(
    'echo x > .env; rm -f d/.env; rm -rf keys d; mkdir -p made/x new; echo x > made/x/y; echo x > new/.env; echo x > new/ok; :',
  );
  t.same(await changesOf(bench), { 'd/b': 'deleted', new: 'directory', 'new/ok': 'added' });
  for (const [path, content] of Object.entries(TREE))
    t.equal(readFileSync(join(bench.workspace, path), 'utf8'), content, path);
});

test('a session whose own layer holds a blocked path, from before the rule, hides it from commands', {
  skip,
}, async (t) => {
  const bench = await makeDenied(t, '**/.env');
  const path = parseGuestPath('cwd://new/.env');
  await (await bench.files.mountFor(path, callerOf().actor)).writeFile(path.segments, Buffer.from('SECRET-5'));
  t.notMatch((await bench.sh('cat new/.env 2>&1')).stdout, /SECRET/);
});

test('a rule over the whole workspace, a command in it, is refused', { skip }, async (t) => {
  const bench = await makeDenied(t, 'cwd://**');
  t.equal(await bench.fate('true'), 'policy_denied');
});

test('path rules for other places only hide nothing from commands', (t) => {
  t.equal(ruleOf('home://.ssh/**', 'tmp://x'), null);
  t.end();
});
