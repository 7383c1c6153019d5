import { test } from 'tap';
import { logAt, makeGuest } from '../kit/guests.js';
import { openSession, waitForLog } from '../kit/log-watch.js';
import { startSupervisor } from '../kit/real-supervisor.js';

/** The envelope of an empty queue has 39 bytes, behind a status byte; a longer one brought a message. */
const EMPTY_BYTES = 40;
const interceptor = (event: string, priority: number) =>
  `[[interceptor]]\nevent = "${event}"\naction = "go"\npriority = ${priority}\n`;

test('a message that a guard denies, does not reach the handle of a run loop behind it, and the next one that it lets pass does', async (t) => {
  const guard = await makeGuest({
    name: 'guard',
    manifest: interceptor('cli.v1.command.execute', 1),
    data: { 64: '\\02not here' },
    body: `${logAt(32, 5)} (call $answer (call $block (i32.const 64) (i32.const 9))) (i32.const 0)`,
  });
  const read = (call: string, handle: number, ms = '') =>
    `(local.set $a (call $${call} (call $block (i32.const ${handle}) (i32.const 1)) ${ms}))
     (if (i64.gt_u (call $length (local.get $a)) (i64.const ${EMPTY_BYTES})) (then ${logAt(100, 4)}) (else ${logAt(110, 5)}))`;
  const loop = await makeGuest({
    name: 'loop',
    restart: 'never',
    manifest: `${interceptor('cli.v1.command.execute', 100)}\n${interceptor('user.v1.prompt', 100)}`,
    calls: {
      astrid_signal_ready: { params: 0, result: true },
      astrid_ipc_recv: { params: 2, result: true },
      astrid_ipc_poll: { params: 1, result: true },
    },
    data: { 64: '60000', 80: '1', 81: '2', 100: 'came', 110: 'empty', 120: 'done' },
    exports: {
      run: `(drop (call $astrid_signal_ready))
        ${read('astrid_ipc_recv', 81, '(call $block (i32.const 64) (i32.const 5))')}
        ${read('astrid_ipc_poll', 80)}
        ${logAt(120, 4)} (i32.const 0)`,
    },
  });
  const supervisor = await startSupervisor({ builtins: { guard, loop } });
  t.teardown(supervisor.end);
  const client = await supervisor.connect();
  t.teardown(() => client.close());
  const { id, say } = await openSession(client, supervisor.workspace);
  const payload = { type: 'custom', data: 'do it' };
  await client.request('bus.publish', { session: id, topic: 'cli.v1.command.execute', payload });
  await waitForLog(client, 'guard', /^heard/);
  await say('go');
  await waitForLog(client, 'loop', /^done/);
  const said: string[] = [];
  for await (const row of await client.stream('logs', { capsule: 'loop', lines: 100 }))
    said.push((row as { message: string }).message);
  t.same(
    said.filter((line) => line === 'came' || line === 'empty'),
    ['came', 'empty'],
  );
});
