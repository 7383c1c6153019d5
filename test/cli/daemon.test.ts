import { chmod, mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Test, test } from 'tap';
import { asFault } from '../../abi/errno.js';
import { ControlClient } from '../../cli/client.js';
import { type EnsureOptions, ensureSupervisor, findFaultCode, wasStopped } from '../../cli/daemon.js';
import { openHome } from '../../cli/home.js';
import { FakeSupervisor, makeHome, startFake } from '../kit/fake-supervisor.js';
import { runCli } from '../kit/run-cli.js';

const supervisorMain = fileURLToPath(new URL('../kit/fake-supervisor-main.js', import.meta.url));

const starting = (how: string, more: EnsureOptions = {}): EnsureOptions => ({
  supervisorMain,
  env: { ...process.env, FAKE_SUPERVISOR: how },
  ...more,
});

/** Ends the supervisor that a test started and waits until it is gone. */
async function endAfter(t: Test, home: string): Promise<void> {
  t.teardown(() => runCli(['stop'], home));
}

/** The pid that a hanging supervisor writes, as soon as it has been written. */
async function readPid(log: string): Promise<number> {
  for (;;) {
    const pid = /pid (\d+)\n/.exec(await readFile(log, 'utf8'))?.[1];
    if (pid !== undefined) return Number(pid);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

test('ensuring a supervisor, none runs, starts one detached and returns when it is ready', async (t) => {
  const home = join(await makeHome(t), 'fresh');
  await endAfter(t, home);
  let told = 0;
  const client = await ensureSupervisor(home, starting('serve', { onStart: () => (told += 1) }));
  t.teardown(() => client.close());
  t.equal(told, 1);
  t.not(client.supervisorPid, process.pid);
  t.equal((await stat(home)).mode & 0o777, 0o700);
  t.equal((await stat(join(home, 'var/supervisor.log'))).mode & 0o777, 0o600);
  t.match(await readFile(join(home, 'var/supervisor.log'), 'utf8'), 'serving');
});

test('ensuring a supervisor, from two places at once, ends with both on the same one', async (t) => {
  const home = await makeHome(t);
  await endAfter(t, home);
  const both = await Promise.all([
    ensureSupervisor(home, starting('serve')),
    ensureSupervisor(home, starting('serve')),
  ]);
  t.equal(both[0]?.supervisorPid, both[1]?.supervisorPid);
  for (const client of both) client.close();
});

test('ensuring a supervisor, one runs, starts none', async (t) => {
  const { home } = await startFake(t, {}, { pid: 7 });
  const client = await ensureSupervisor(home, { supervisorMain: '/does/not/exist' });
  t.equal(client.supervisorPid, 7);
  client.close();
});

test('ensuring a supervisor, one that still boots, waits for it instead of starting another', async (t) => {
  const { home, fake } = await startFake(t, {}, { ready: false, pid: 7 });
  let settled: ControlClient | null = null;
  const ensured = ensureSupervisor(home, { supervisorMain: '/does/not/exist' }).then((client) => {
    settled = client;
    return client;
  });
  // A connection of our own stands for the time that passes: the other one was refused the same way by then.
  const held = await openHome(home);
  (await ControlClient.connect(held)).close();
  await held.close();
  t.equal(settled, null);
  await fake.markReady();
  const client = await ensured;
  t.equal(client.supervisorPid, 7);
  client.close();
});

test('ensuring a supervisor, it dies while starting, shows its last lines and its code, harmlessly', async (t) => {
  const home = await makeHome(t);
  const start = starting('die');
  const fault = await ensureSupervisor(home, start).then(
    () => null,
    (error: unknown) => asFault(error),
  );
  t.equal(fault?.code, 'bad_config');
  t.match(fault?.message, /did not start \(exit code 1\)\n {2}\{"level":"info"/);
  const { exitCode, err } = await runCli(['start'], home, { start, tty: true });
  t.equal(exitCode, 1);
  t.match(err, /\(bad_config\)\n/);
  t.notMatch(err, /\x1b/);
});

test('ensuring a supervisor, an earlier failure in the log, is not shown as this one', async (t) => {
  const home = await makeHome(t);
  await mkdir(join(home, 'var'));
  await writeFile(join(home, 'var/supervisor.log'), '{"code":"bad_hash","msg":"yesterday"}\n');
  const fault = await ensureSupervisor(home, starting('die')).catch(asFault);
  t.notMatch(fault, { message: /yesterday/ });
});

test('ensuring a supervisor, it does not become ready, times out and says where to look', async (t) => {
  const home = await makeHome(t);
  const fault = await ensureSupervisor(home, starting('hang', { readyWaitMs: 300 })).catch(asFault);
  t.match(fault, { code: 'timed_out', message: /supervisor\.log/ });
  const pid = await readPid(join(home, 'var/supervisor.log'));
  t.ok(process.kill(pid, 'SIGKILL'), 'the process was left to the operator, and is ended here');
});

test("ensuring a supervisor, somebody else's start won, waits for that one", async (t) => {
  const home = await makeHome(t);
  const ensured = ensureSupervisor(home, starting('lock', { readyWaitMs: 10_000, onStart: () => void started() }));
  let fake: FakeSupervisor | null = null;
  const started = async () => {
    fake = await FakeSupervisor.start(home, {}, { pid: 8 });
  };
  const client = await ensured;
  t.teardown(() => fake?.stop());
  t.equal(client.supervisorPid, 8);
  client.close();
});

test('ensuring a supervisor, a home that others can enter, is refused before anything is started', async (t) => {
  const home = await makeHome(t);
  await chmod(home, 0o770);
  await t.rejects(ensureSupervisor(home, starting('serve')), { code: 'bad_home' });
  await t.rejects(stat(join(home, 'var')), { code: 'ENOENT' });
});

test('after a lost connection, the token tells a stop from a crash', async (t) => {
  const home = await makeHome(t);
  const fake = await FakeSupervisor.start(home);
  await fake.stop('crash');
  t.equal(await wasStopped(home, 0), false);
  const again = await FakeSupervisor.start(home);
  await again.stop('orderly');
  t.equal(await wasStopped(home, 0), true);
});

test('the code of a failure, in lines of a log, is the last known one', async (t) => {
  t.equal(
    findFaultCode(['{"code":"bad_home"}', '{"code": "bad_config"}', 'plain', '{"code":"invented"}']),
    'bad_config',
  );
  t.equal(findFaultCode(['nothing', '"code":bad_home']), null);
});
