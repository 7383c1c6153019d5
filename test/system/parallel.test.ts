import { test } from 'tap';
import { logAt, makeGuest } from '../kit/guests.js';
import { openSession, waitForLog } from '../kit/log-watch.js';
import { startSupervisor } from '../kit/real-supervisor.js';

const interceptor = (event: string) => `[[interceptor]]\nevent = "${event}"\naction = "go"\n`;

/** The envelope of an empty queue has 39 bytes; a longer one brought a message. */
const EMPTY_ENVELOPE_BYTES = 39;
const RECV_MS = '20000';

/** Asks, and blocks inside its interceptor until the answer is there, as the original's agent loop does. */
const asker = (says: 'asks' | 'answers', asks: string, waits: string, hears: string) => ({
  name: says,
  manifest: `${interceptor(hears)}\n[capabilities]\nipc_publish = ["${asks}"]\nipc_subscribe = ["${waits}"]\n`,
  calls: {
    astrid_ipc_subscribe: { params: 1, result: true },
    astrid_ipc_publish: { params: 2, result: true },
    astrid_ipc_recv: { params: 2, result: true },
  },
  data: { 100: waits, 150: asks, 200: '{}', 220: RECV_MS, 240: '1', 260: 'nobody', 280: 'answered' },
  body: `
    (drop (call $astrid_ipc_subscribe (call $block (i32.const 100) (i32.const ${waits.length}))))
    (drop (call $astrid_ipc_publish (call $block (i32.const 150) (i32.const ${asks.length})) (call $block (i32.const 200) (i32.const 2))))
    (local.set $a (call $astrid_ipc_recv (call $block (i32.const 240) (i32.const 1)) (call $block (i32.const 220) (i32.const ${RECV_MS.length}))))
    (if (i64.gt_u (call $length (local.get $a)) (i64.const ${EMPTY_ENVELOPE_BYTES + 1}))
      (then ${logAt(280, 8)}) (else ${logAt(260, 6)}))
    (i32.const 0)`,
});

test('a capsule that blocks inside an interceptor, for an answer that another one produces, gets it', async (t) => {
  const first = await makeGuest(asker('asks', 'first.v1.ask', 'second.v1.answer', 'user.v1.prompt'));
  const second = await makeGuest({
    name: 'answers',
    manifest: `${interceptor('first.v1.ask')}\n[capabilities]\nipc_publish = ["second.v1.answer"]\n`,
    calls: { astrid_ipc_publish: { params: 2, result: true } },
    data: { 100: 'second.v1.answer', 200: '{}' },
    body: `(drop (call $astrid_ipc_publish (call $block (i32.const 100) (i32.const 16)) (call $block (i32.const 200) (i32.const 2)))) (i32.const 0)`,
  });
  const supervisor = await startSupervisor({ builtins: { asks: first, answers: second } });
  t.teardown(supervisor.end);
  const client = await supervisor.connect();
  t.teardown(() => client.close());
  const { say } = await openSession(client, supervisor.workspace);
  await say('ask the other one');
  t.equal((await waitForLog(client, 'asks', /answered|nobody|ended/)).message, 'answered');
});

test('two capsules in each other as hooks, the one that would close the circle is told so', async (t) => {
  const request = (hook: string) => `{"hook":"${hook}","payload":1}`;
  const member = (name: string, hears: readonly string[], triggers: string) =>
    makeGuest({
      name,
      manifest: `${hears.map(interceptor).join('\n')}\n[capabilities]\nipc_publish = ["*.v1.hook"]\n`,
      calls: { astrid_trigger_hook: { params: 1, result: true } },
      data: { 100: request(triggers).replaceAll('"', '\\"') },
      body: `
        (local.set $a (call $astrid_trigger_hook (call $block (i32.const 100) (i32.const ${request(triggers).length}))))
        (if (i32.eq (call $byte (local.get $a) (i64.const 0)) (i32.const 1)) (then ${logAt(32, 5)}))
        (i32.const 0)`,
      imports: '(import "extism:host/env" "load_u8" (func $peek (param i64) (result i32)))',
      more: '(func $byte (param $block i64) (param $at i64) (result i32) (call $peek (i64.add (local.get $block) (local.get $at))))',
    });
  const alpha = await member('alpha', ['user.v1.prompt', 'alpha.v1.hook'], 'beta.v1.hook');
  const beta = await member('beta', ['beta.v1.hook'], 'alpha.v1.hook');
  const supervisor = await startSupervisor({ builtins: { alpha, beta } });
  t.teardown(supervisor.end);
  const client = await supervisor.connect();
  t.teardown(() => client.close());
  const { say } = await openSession(client, supervisor.workspace);
  await say('go round');
  t.equal((await waitForLog(client, 'beta', /heard|ended/)).message, 'heard', 'its call failed with a status byte');
});
