import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'tap';
import { makeGuest, SAYS_HEARD } from '../kit/guests.js';
import { childrenOf, commandOf, type RealSupervisor, startSupervisor } from '../kit/real-supervisor.js';

async function start(t: { teardown(run: () => unknown): void }): Promise<RealSupervisor> {
  const root = mkdtempSync(join(tmpdir(), 'astrid-lost-'));
  const supervisor = await startSupervisor({
    root,
    builtins: { listener: await makeGuest({ name: 'listener', body: SAYS_HEARD }) },
  });
  t.teardown(async () => {
    await supervisor.kill('SIGKILL');
    rmSync(root, { recursive: true, force: true });
  });
  return supervisor;
}

/** Its exit, once it is over with all that it started. */
async function endOf({ child }: RealSupervisor, below: readonly number[]): Promise<unknown[]> {
  const how = await once(child, 'exit');
  while (below.some((pid) => /worker|auditor/.test(commandOf(pid)))) await new Promise(setImmediate);
  return how;
}

test('a home that is removed under its supervisor, ends it in order, with a line on standard error', async (t) => {
  const supervisor = await start(t);
  const below = childrenOf(supervisor.child.pid ?? 0);
  t.ok(below.length >= 2, 'a worker and the auditor');
  const ended = endOf(supervisor, below);
  rmSync(supervisor.home, { recursive: true });
  t.same(await ended, [1, null]);
  t.match(supervisor.log.join('\n'), /astrid supervisor \d+: the home \S+ is gone; ending/);
  t.match(supervisor.log.join('\n'), /"msg":"stopped"/);
  t.notOk(existsSync(supervisor.home), 'it is not made again');
});

test('a home that is replaced under its supervisor, ends it, and nothing of the new one is touched', async (t) => {
  const supervisor = await start(t);
  const { home } = supervisor;
  const ended = endOf(supervisor, childrenOf(supervisor.child.pid ?? 0));
  const next = `${home}-next`;
  const files = ['run/system.sock', 'run/system.token', 'run/system.ready', 'var/checkpoint'];
  for (const name of ['', 'run', 'var']) mkdirSync(join(next, name), { mode: 0o700 });
  for (const name of files) writeFileSync(join(next, name), 'new');
  renameSync(home, `${home}-old`);
  renameSync(next, home);
  t.same(await ended, [1, null]);
  for (const name of files) t.ok(existsSync(join(home, name)), name);
});
