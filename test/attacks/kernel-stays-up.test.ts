import { readFileSync } from 'node:fs';
import { test } from 'tap';
import type { ProcessRow } from '../../abi/control.js';
import { HEARS_PROMPTS, makeGuest, SAYS_HEARD } from '../kit/guests.js';
import { openSession, waitForLog } from '../kit/log-watch.js';
import { startSupervisor } from '../kit/real-supervisor.js';
import { WAIT } from '../store/kit.js';

const FATAL = /"uncaught"|"unhandled rejection"/;

test('a message of 4.5 MiB to an interceptor does not end the supervisor', async (t) => {
  const good = await makeGuest({ name: 'good', body: SAYS_HEARD });
  const supervisor = await startSupervisor({ builtins: { good } });
  t.teardown(supervisor.end);
  const client = await supervisor.connect();
  t.teardown(() => client.close());
  const { say } = await openSession(client, supervisor.workspace);
  await say('z'.repeat(4_700_000)).catch(() => undefined);
  await t.resolves(client.request('status', {}));
  await t.resolves(say('small'));
  await t.resolves(waitForLog(client, 'good', /heard/));
  t.notMatch(supervisor.log.join('\n'), FATAL);
});

test('a capsule that lists keys whose JSON is larger than a frame does not end the supervisor', async (t) => {
  const calls = { astrid_kv_set: { params: 2, result: true }, astrid_kv_list_keys: { params: 1, result: true } };
  const body = `(loop $x
      (i32.store8 (i32.const 8180) (i32.add (i32.const 32) (i32.div_u (local.get $i) (i32.const 64))))
      (i32.store8 (i32.const 8181) (i32.add (i32.const 48) (i32.rem_u (local.get $i) (i32.const 64))))
      (drop (call $astrid_kv_set (call $block (i32.const 4096) (i32.const 4090)) (i64.const 0)))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $x (i32.lt_u (local.get $i) (i32.const 600))))
    (drop (call $astrid_kv_list_keys (i64.const 0)))
    ${SAYS_HEARD}`;
  const lister = await makeGuest({
    name: 'lister',
    restart: 'never',
    calls,
    body,
    data: { 4096: '\\01'.repeat(4090) },
  });
  const supervisor = await startSupervisor({ builtins: { lister } });
  t.teardown(supervisor.end);
  const client = await supervisor.connect();
  t.teardown(() => client.close());
  const { say } = await openSession(client, supervisor.workspace);
  await say('go');
  await t.resolves(waitForLog(client, 'lister', /heard|ended/));
  await t.resolves(client.request('status', {}));
  t.notMatch(supervisor.log.join('\n'), FATAL);
});

test('a handler that fails on a payload of the greatest depth does not end the supervisor', async (t) => {
  const failer = await makeGuest({ name: 'failer', body: `${SAYS_HEARD} (drop) (i32.const 1)` });
  const supervisor = await startSupervisor({ builtins: { failer } });
  t.teardown(supervisor.end);
  const client = await supervisor.connect();
  t.teardown(() => client.close());
  const { id } = await openSession(client, supervisor.workspace);
  let deep: unknown = 1;
  for (let depth = 0; depth < 48; depth++) deep = [deep];
  await client.request('bus.publish', { session: id, topic: 'user.v1.prompt', payload: deep });
  await t.resolves(waitForLog(client, 'failer', /handling .* failed/));
  await t.resolves(client.request('status', {}));
  await t.resolves(client.request('status', {}));
  t.notMatch(supervisor.log.join('\n'), FATAL);
});

test('hook answers that together are larger than a frame do not end the supervisor', async (t) => {
  const BYTES = 7 * 1024 * 1024;
  const hooks = ['one', 'two']
    .map((action) => `[[interceptor]]\nevent = "big.v1.hook"\naction = "${action}"\n`)
    .join('\n');
  const responder = await makeGuest({
    name: 'responder',
    manifest: hooks,
    body: `(local.set $a (call $alloc (i64.const ${BYTES})))
      (loop $x
        (call $store_u8 (i64.add (local.get $a) (i64.extend_i32_u (local.get $i))) (i32.const 97))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br_if $x (i32.lt_u (local.get $i) (i32.const ${BYTES}))))
      (call $store_u8 (local.get $a) (i32.const 34))
      (call $store_u8 (i64.add (local.get $a) (i64.const ${BYTES - 1})) (i32.const 34))
      (call $answer (local.get $a)) (i32.const 0)`,
  });
  const request = '{"hook":"big.v1.hook","payload":1}';
  const caller = await makeGuest({
    name: 'caller',
    restart: 'never',
    calls: { astrid_trigger_hook: { params: 1, result: true } },
    data: { 100: request.replaceAll('"', '\\"') },
    body: `(drop (call $astrid_trigger_hook (call $block (i32.const 100) (i32.const ${request.length})))) ${SAYS_HEARD}`,
  });
  const supervisor = await startSupervisor({ builtins: { responder, caller } });
  t.teardown(supervisor.end);
  const client = await supervisor.connect();
  t.teardown(() => client.close());
  const { say } = await openSession(client, supervisor.workspace);
  await say('go');
  await t.resolves(waitForLog(client, 'caller', /heard|ended/));
  await t.resolves(client.request('status', {}));
  t.notMatch(supervisor.log.join('\n'), FATAL);
});

test('a message that grows beyond a control frame on its way to a person does not end the supervisor', async (t) => {
  const COUNT = 900_000;
  const BYTES = COUNT * 4 + 1;
  const at = '(i64.add (local.get $a) (i64.extend_i32_u (local.get $i)))';
  const speaker = await makeGuest({
    name: 'speaker',
    manifest: `${HEARS_PROMPTS}\n[publish]\n"noise.v1.big" = { wit = "opaque" }\n`,
    calls: { astrid_ipc_publish: { params: 2, result: true } },
    data: { 100: 'noise.v1.big', 200: ',1.5' },
    body: `(local.set $a (call $alloc (i64.const ${BYTES})))
      (loop $x
        (call $store_u8 ${at} (i32.load8_u (i32.add (i32.const 200) (i32.rem_u (local.get $i) (i32.const 4)))))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br_if $x (i32.lt_u (local.get $i) (i32.const ${BYTES}))))
      (call $store_u8 (local.get $a) (i32.const 91))
      (call $store_u8 (i64.add (local.get $a) (i64.const ${BYTES - 1})) (i32.const 93))
      (drop (call $astrid_ipc_publish (call $block (i32.const 100) (i32.const 12)) (local.get $a)))
      ${SAYS_HEARD}`,
  });
  const supervisor = await startSupervisor({ builtins: { speaker } });
  t.teardown(supervisor.end);
  const client = await supervisor.connect();
  t.teardown(() => client.close());
  const { id, say } = await openSession(client, supervisor.workspace);
  const events = await client.stream('bus.subscribe', { session: id, patterns: ['noise.v1.*'] });
  t.teardown(() => events.cancel());
  await say('go');
  await t.resolves(waitForLog(client, 'speaker', /heard|ended/));
  await t.resolves(client.request('status', {}));
  await t.resolves(client.request('status', {}));
  t.notMatch(supervisor.log.join('\n'), FATAL);
});

/** A run loop that says it is ready and then waits for messages for ever. */
const waitingLoop = (name: string) =>
  makeGuest({
    name,
    restart: 'on-failure',
    calls: { astrid_signal_ready: { params: 0, result: true }, astrid_ipc_recv: { params: 2, result: true } },
    data: { 100: '1', 104: '60000' },
    exports: {
      run: `(drop (call $astrid_signal_ready)) (loop $x
        (drop (call $astrid_ipc_recv (call $block (i32.const 100) (i32.const 1)) (call $block (i32.const 104) (i32.const 5))))
        (br $x)) (i32.const 0)`,
    },
  });

test('worker processes that are killed from outside while they wait in ipc_recv do not end the supervisor', async (t) => {
  const names = ['r1', 'r2', 'r3', 'r4', 'r5', 'r6'];
  const builtins = Object.fromEntries(
    await Promise.all(names.map(async (name) => [name, await waitingLoop(name)] as const)),
  );
  const supervisor = await startSupervisor({ builtins });
  t.teardown(supervisor.end);
  const client = await supervisor.connect();
  t.teardown(() => client.close());
  for (const { pid } of (await client.request('ps', {})) as ProcessRow[])
    if (pid !== null) process.kill(pid, 'SIGKILL');
  for (const name of names) await t.resolves(waitForLog(client, name, /^ended/));
  await t.resolves(client.request('status', {}));
  t.notMatch(supervisor.log.join('\n'), FATAL);
});

test('an operator restarts a run loop several times in a row, each start succeeds and nothing is counted as a crash', async (t) => {
  const supervisor = await startSupervisor({ builtins: { waiter: await waitingLoop('waiter') } });
  t.teardown(supervisor.end);
  const client = await supervisor.connect();
  t.teardown(() => client.close());
  for (let round = 0; round < 6; round++) await t.resolves(client.request('restart', { target: 'waiter' }, WAIT));
  t.match((await client.request('ps', {})) as ProcessRow[], [
    { capsule: 'waiter', restarts: 0, state: /ready|running|waiting/ },
  ]);
  t.notMatch(supervisor.log.join('\n'), FATAL);
});

test('an operator restarts a jailed run loop several times in a row, each start succeeds and nothing is counted as a crash', async (t) => {
  const supervisor = await startSupervisor({ installed: { waiter: await waitingLoop('waiter') } });
  t.teardown(supervisor.end);
  const client = await supervisor.connect();
  t.teardown(() => client.close());
  for (let round = 0; round < 4; round++) await t.resolves(client.request('restart', { target: 'waiter' }, WAIT));
  t.match((await client.request('ps', {})) as ProcessRow[], [
    { capsule: 'waiter', restarts: 0, state: /ready|running|waiting/ },
  ]);
  t.notMatch(supervisor.log.join('\n'), FATAL);
});

/** The process that bubblewrap started first, in the host's numbers: what an out-of-memory killer or a person may pick. */
const parentOf = (pid: number) => Number(/^PPid:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);

test('bubblewrap processes that are killed from outside while the capsule waits in ipc_recv do not end the supervisor', async (t) => {
  const names = ['r1', 'r2', 'r3'];
  const installed = Object.fromEntries(
    await Promise.all(names.map(async (name) => [name, await waitingLoop(name)] as const)),
  );
  const supervisor = await startSupervisor({ installed });
  t.teardown(supervisor.end);
  const client = await supervisor.connect();
  t.teardown(() => client.close());
  for (const { pid } of (await client.request('ps', {})) as ProcessRow[]) {
    let outer = pid ?? 0;
    while (parentOf(outer) !== supervisor.child.pid) outer = parentOf(outer);
    process.kill(outer, 'SIGKILL');
  }
  for (const name of names) await t.resolves(waitForLog(client, name, /^ended/));
  await t.resolves(client.request('status', {}));
  t.notMatch(supervisor.log.join('\n'), FATAL);
});
