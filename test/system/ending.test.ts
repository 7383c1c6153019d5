import { once } from 'node:events';
import { existsSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'tap';
import type { ProcessRow } from '../../abi/control.js';
import { makeGuest, SAYS_HEARD } from '../kit/guests.js';
import { openSession, rowOf, waitForLog } from '../kit/log-watch.js';
import { childrenOf, commandOf, startSupervisor } from '../kit/real-supervisor.js';
import { jailMissing } from '../kit/worker-bench.js';

const LOOPS = `${SAYS_HEARD.replace('(i32.const 0)', '')} (loop $x (br $x)) (i32.const 0)`;

/** Below a process and all below those: what a jail starts is not a child of the supervisor. */
function allBelow(pid: number): number[] {
  return childrenOf(pid).flatMap((child) => [child, ...allBelow(child)]);
}

test('stop, with a capsule in an endless loop, ends everything: no process, no socket, no marker', async (t) => {
  const caged = { caged: await makeGuest({ name: 'caged', body: SAYS_HEARD }) };
  const supervisor = await startSupervisor({
    builtins: { looper: await makeGuest({ name: 'looper', body: LOOPS }) },
    installed: (await jailMissing()) === false ? caged : {},
  });
  t.teardown(supervisor.end);
  t.equal(statSync(join(supervisor.home, 'run/system.ready')).mode & 0o777, 0o600);
  const client = await supervisor.connect();
  const { say } = await openSession(client, supervisor.workspace);
  await say('go');
  await waitForLog(client, 'looper', /heard/);
  const pids = allBelow(supervisor.child.pid ?? 0);
  const before = pids.map(commandOf).filter((command) => /worker|auditor/.test(command));
  t.ok(before.length >= 2, 'there is something to be ended');
  const exited = once(supervisor.child, 'exit');
  await client.request('stop', {});
  t.same(await exited, [0, null]);
  client.close();
  t.same(
    pids.map(commandOf).filter((command) => /worker|auditor/.test(command)),
    [],
  );
  t.same(readdirSync(join(supervisor.home, 'run')).sort(), []);
});

test('kill, of a process that does not hear TERM, ends it after the grace; it is started again', async (t) => {
  const supervisor = await startSupervisor({ builtins: { deaf: await makeGuest({ name: 'deaf', body: SAYS_HEARD }) } });
  t.teardown(supervisor.end);
  const client = await supervisor.connect();
  t.teardown(() => client.close());
  const pid = (await rowOf(client, 'deaf')).pid ?? 0;
  process.kill(pid, 'SIGSTOP');
  await client.request('kill', { target: 'deaf' });
  let row = await rowOf(client, 'deaf');
  while (row.pid === pid || row.state !== 'ready') row = await rowOf(client, 'deaf');
  t.equal(row.restarts, 1);
  t.equal(commandOf(pid), '');
});

test('ps shows a process as the system does, in each tier: its pid, its time, its memory below the limit', async (t) => {
  const calls = { astrid_kv_get: { params: 1, result: true } };
  const body = `(drop (call $astrid_kv_get (call $block (i32.const 48) (i32.const 3)))) ${SAYS_HEARD}`;
  const guest = (name: string) => makeGuest({ name, body, calls, data: { 48: 'key' } });
  const hasJail = (await jailMissing()) === false;
  const supervisor = await startSupervisor({
    builtins: { plain: await guest('plain') },
    installed: hasJail ? { caged: await guest('caged') } : {},
  });
  t.teardown(supervisor.end);
  const client = await supervisor.connect();
  t.teardown(() => client.close());
  const { say } = await openSession(client, supervisor.workspace);
  await say('go');
  for (const [name, tier] of [['plain', 'process'], ...(hasJail ? [['caged', 'jail']] : [])] as const) {
    await waitForLog(client, name ?? '', /heard/);
    const row: ProcessRow = await rowOf(client, name ?? '');
    t.match(row, { capsule: name, tier, version: '1.0.0', restarts: 0 });
    t.match(commandOf(row.pid ?? 0), /worker/, 'the worker itself, not what started it');
    t.ok(row.ageMs > 0 && row.cpuMs > 0 && row.cpuMs < row.ageMs * 8);
    t.ok(row.memoryBytes > 10 * 2 ** 20 && row.memoryBytes < row.memoryMaxBytes);
    t.equal(row.calls, 1);
  }
});

test('a boot that fails takes back the word of a killed one that it is ready', async (t) => {
  const supervisor = await startSupervisor({});
  t.teardown(supervisor.end);
  const ready = join(supervisor.home, 'run/system.ready');
  await supervisor.kill('SIGKILL');
  t.ok(existsSync(ready));
  writeFileSync(join(supervisor.home, 'etc/config.toml'), 'nonsense = true\n');
  await t.rejects(supervisor.again(), /bad_config/);
  t.notOk(existsSync(ready));
});
