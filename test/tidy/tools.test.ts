import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'tap';
import { PACKAGE_ROOT } from '../kit/package-root.js';

function run(script: string, ...args: string[]): { status: number | null; output: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(PACKAGE_ROOT, script), ...args], {
    cwd: PACKAGE_ROOT,
    encoding: 'utf8',
    maxBuffer: 1e8,
  });
  return { status, output: `${stdout}${stderr}` };
}

test('lint and format find nothing', (t) => {
  const { status, output } = run('node_modules/@biomejs/biome/bin/biome', 'check', '.');
  t.equal(status, 0, status === 0 ? 'clean' : output.slice(-4000));
  t.end();
});

test('the guest SDK and the capsules compile strictly, without Node and without the DOM', (t) => {
  const { status, output } = run('node_modules/typescript/bin/tsc', '-p', 'capsules/tsconfig.json');
  t.equal(status, 0, status === 0 ? 'clean' : output.slice(0, 4000));
  t.end();
});

test('the lock file holds no download address', (t) => {
  const { status } = spawnSync('grep', ['-q', '"resolved"', join(PACKAGE_ROOT, 'package-lock.json')]);
  t.equal(status, 1);
  t.end();
});
