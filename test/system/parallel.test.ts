import { test } from 'tap';
import { TELL } from '../http/guest-text.js';
import { logAt, makeGuest } from '../kit/guests.js';
import { openSession, rowOf, waitForLog } from '../kit/log-watch.js';
import { startSupervisor } from '../kit/real-supervisor.js';
import { jailMissing } from '../kit/worker-bench.js';

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
        (if (i32.eq (call $load_u8 (local.get $a)) (i32.const 1))
          (then (drop (call $astrid_log (call $block (i32.const 16) (i32.const 4)) (call $tell (local.get $a))))))
        (i32.const 0)`,
      more: TELL,
    });
  const alpha = await member('alpha', ['user.v1.prompt', 'alpha.v1.hook'], 'beta.v1.hook');
  const beta = await member('beta', ['beta.v1.hook'], 'alpha.v1.hook');
  const supervisor = await startSupervisor({ builtins: { alpha, beta } });
  t.teardown(supervisor.end);
  const client = await supervisor.connect();
  t.teardown(() => client.close());
  const { say } = await openSession(client, supervisor.workspace);
  await say('go round');
  const { message } = await waitForLog(client, 'beta', /code|ended/);
  t.match(JSON.parse(message), {
    code: 'conflict',
    message: 'a cycle: alpha.v1.hook would wait for a capsule that waits for this one',
  });
});

/** Says on `says` that it is in, and ends its invocation once it heard on `waits` that the other one is; then it answers on `more`. */
const meeter = (name: string, hears: string, says: string, waits: string, more: string) => {
  const call = (address: number, text: string) => `(call $block (i32.const ${address}) (i32.const ${text.length}))`;
  return makeGuest({
    name,
    manifest: `${interceptor(hears)}\n[capabilities]\nipc_publish = ["*.v1.in", "*.v1.go"]\nipc_subscribe = ["${waits}"]\n`,
    calls: {
      astrid_ipc_subscribe: { params: 1, result: true },
      astrid_ipc_publish: { params: 2, result: true },
      astrid_ipc_recv: { params: 2, result: true },
    },
    data: { 100: waits, 120: says, 140: more, 200: '{}', 220: RECV_MS, 240: '1', 260: 'nobody', 280: 'met' },
    body: `
      (drop (call $astrid_ipc_subscribe ${call(100, waits)}))
      (drop (call $astrid_ipc_publish ${call(120, says)} ${call(200, '{}')}))
      (local.set $a (call $astrid_ipc_recv ${call(240, '1')} ${call(220, RECV_MS)}))
      (if (i64.gt_u (call $length (local.get $a)) (i64.const ${EMPTY_ENVELOPE_BYTES + 1}))
        (then (drop (call $astrid_ipc_publish ${call(140, more)} ${call(200, '{}')})) ${logAt(280, 3)})
        (else ${logAt(260, 6)}))
      (i32.const 0)`,
  });
};

for (const tier of ['process', 'jail'] as const) {
  test(`two capsules of tier ${tier} are inside their handlers at the same time: neither ends before both are in`, {
    skip: tier === 'jail' && (await jailMissing()),
  }, async (t) => {
    const guests = {
      left: await meeter('left', 'user.v1.prompt', 'left.v1.in', 'right.v1.in', 'left.v1.go'),
      right: await meeter('right', 'left.v1.in', 'right.v1.in', 'left.v1.go', 'right.v1.go'),
    };
    const supervisor = await startSupervisor(tier === 'jail' ? { installed: guests } : { builtins: guests });
    t.teardown(supervisor.end);
    const client = await supervisor.connect();
    t.teardown(() => client.close());
    const { say } = await openSession(client, supervisor.workspace);
    await say('meet each other');
    for (const name of Object.keys(guests)) {
      t.equal((await rowOf(client, name)).tier, tier);
      t.equal((await waitForLog(client, name, /met|nobody|ended/)).message, 'met', name);
    }
  });
}
