import { test } from 'tap';
import type { ProcessRow } from '../../abi/control.js';
import { makeGuest, SAYS_HEARD } from '../kit/guests.js';
import { openSession, rowOf, waitForLog } from '../kit/log-watch.js';
import { startSupervisor } from '../kit/real-supervisor.js';

const SHORT = '\n[[interceptor]]\nevent = "user.v1.prompt"\naction = "go"\n\n[limits]\nwall_ms = 400\n';

test('hostile capsules are ended at their limits and the others do not notice', async (t) => {
  const supervisor = await startSupervisor({
    builtins: {
      good: await makeGuest({ name: 'good', body: SAYS_HEARD }),
      looper: await makeGuest({
        name: 'looper',
        manifest: SHORT,
        restart: 'never',
        body: '(loop $x (br $x)) (i32.const 0)',
      }),
      crasher: await makeGuest({ name: 'crasher', restart: 'never', body: '(unreachable)' }),
      bomber: await makeGuest({
        name: 'bomber',
        restart: 'never',
        body: '(loop $x (br_if $x (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))) (unreachable)',
      }),
      hoarder: await makeGuest({
        name: 'hoarder',
        restart: 'never',
        body: '(loop $x (drop (call $alloc (i64.const 1048576))) (br $x)) (i32.const 0)',
      }),
    },
  });
  t.teardown(supervisor.end);
  const client = await supervisor.connect();
  t.teardown(() => client.close());
  const { say } = await openSession(client, supervisor.workspace);
  await say('go');
  t.match((await waitForLog(client, 'looper', /^ended/)).message, /timed_out/);
  t.match((await waitForLog(client, 'crasher', /^ended/)).message, /crashed/);
  t.match((await waitForLog(client, 'bomber', /^ended/)).message, /crashed/);
  t.match((await waitForLog(client, 'hoarder', /^ended/)).message, /out_of_memory/);
  await waitForLog(client, 'good', /heard/);
  // The good one's line comes from inside its call.
  while (/^(running|waiting)$/.test((await rowOf(client, 'good')).state));
  await waitForLog(client, 'looper', /not restarted/);
  const rows = (await client.request('ps', {})) as ProcessRow[];
  t.match(rows.map(({ capsule, state }) => `${capsule} ${state}`).sort(), [
    'bomber stopped',
    'crasher stopped',
    'good ready',
    'hoarder stopped',
    'looper stopped',
  ]);
});

test('a capsule that crashes in a handler is restarted and answers again', async (t) => {
  // The first heard prompt is remembered in the store; without it the guest crashes.
  const calls = { astrid_kv_get: { params: 1, result: true }, astrid_kv_set: { params: 2, result: true } };
  const key = '(call $block (i32.const 32) (i32.const 5))';
  const body = `(local.set $a (call $astrid_kv_get ${key}))
    (if (i64.eq (call $length (local.get $a)) (i64.const 1))
      (then (drop (call $astrid_kv_set ${key} ${key})) (unreachable)))
    ${SAYS_HEARD}`;
  const supervisor = await startSupervisor({
    builtins: { phoenix: await makeGuest({ name: 'phoenix', calls, body }) },
  });
  t.teardown(supervisor.end);
  const client = await supervisor.connect();
  t.teardown(() => client.close());
  const { say } = await openSession(client, supervisor.workspace);
  await say('first');
  await waitForLog(client, 'phoenix', /ended: crashed/);
  await say('second');
  await waitForLog(client, 'phoenix', /heard/);
  t.equal((await rowOf(client, 'phoenix')).restarts, 1);
});
