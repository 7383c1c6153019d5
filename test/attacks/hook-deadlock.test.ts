import { test } from 'tap';
import { makeGuest, SAYS_HEARD } from '../kit/guests.js';
import { openSession, waitForLog } from '../kit/log-watch.js';
import { startSupervisor } from '../kit/real-supervisor.js';

/** Woken by `wakes`, works for a moment, then calls the hook of the other; its own hook answers at once. */
const caller = (name: string, wakes: string, other: string) => {
  const request = `{"hook":"${other}.v1.hook","payload":1}`;
  return makeGuest({
    name,
    restart: 'never',
    manifest: `[[interceptor]]\nevent = "${wakes}"\naction = "go"\n\n[[interceptor]]\nevent = "${name}.v1.hook"\naction = "h"\n\n[limits]\nwall_ms = 30000\n`,
    calls: { astrid_trigger_hook: { params: 1, result: true }, astrid_kv_get: { params: 1, result: true } },
    data: { 100: request.replaceAll('"', '\\"') },
    body: `(if (i64.gt_u (call $input_length) (i64.const 60)) (then
        (loop $x
          (drop (call $astrid_kv_get (call $block (i32.const 32) (i32.const 5))))
          (local.set $i (i32.add (local.get $i) (i32.const 1)))
          (br_if $x (i32.lt_u (local.get $i) (i32.const 1000))))
        (drop (call $astrid_trigger_hook (call $block (i32.const 100) (i32.const ${request.length}))))
        ${SAYS_HEARD} (drop)))
      (i32.const 0)`,
  });
};

test('two capsules that call a hook of each other at the same time both get an answer, not their time limit', async (t) => {
  const alpha = await caller('alpha', 'user.v1.prompt', 'beta');
  const beta = await caller('beta', 'cli.v1.command.execute', 'alpha');
  const supervisor = await startSupervisor({ builtins: { alpha, beta } });
  t.teardown(supervisor.end);
  const client = await supervisor.connect();
  t.teardown(() => client.close());
  const { id, say } = await openSession(client, supervisor.workspace);
  const payload = { type: 'custom', data: 'wake up: a payload long enough to be told from a hook' };
  await Promise.all([
    say('a prompt that is long enough to be told from a hook'),
    client.request('bus.publish', { session: id, topic: 'cli.v1.command.execute', payload }),
  ]);
  const ends = await Promise.all(['alpha', 'beta'].map((name) => waitForLog(client, name, /^heard|^ended/)));
  t.match(
    ends.map(({ message }) => message),
    ['heard', 'heard'],
  );
});
