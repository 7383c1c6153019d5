import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, openSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { type Test, test } from 'tap';
import { PACKAGE_ROOT } from '../kit/package-root.js';

const MAIN = join(PACKAGE_ROOT, 'dist/supervisor/main.bundle.mjs');

function start(t: Test, stdout: 'pipe' | number): { child: ChildProcess; home: string } {
  const root = mkdtempSync(join(tmpdir(), 'astrid-'));
  const home = join(root, 'home');
  const child = spawn(process.execPath, [MAIN, '--home', home], { stdio: ['ignore', stdout, 'ignore'] });
  t.teardown(async () => {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill('SIGKILL');
      await once(child, 'exit');
    }
    rmSync(root, { recursive: true, force: true });
  });
  return { child, home };
}

const firstLine = (child: ChildProcess) => once(child.stdout!, 'data');

test('a supervisor whose log reader is gone, stopped while it boots, ends', async (t) => {
  const { child } = start(t, 'pipe');
  await firstLine(child);
  child.stdout!.destroy();
  child.kill('SIGTERM');
  t.same((await once(child, 'exit'))[1], null);
});

test('a supervisor whose log is on a full disk, stopped, ends', async (t) => {
  const { child, home } = start(t, openSync('/dev/full', 'w'));
  while (!existsSync(join(home, 'run/system.ready'))) await delay(20);
  child.kill('SIGTERM');
  t.same((await once(child, 'exit'))[1], null);
});
