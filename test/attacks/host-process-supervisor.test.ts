import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'tap';
import type { DiffRow } from '../../abi/control.js';
import { findProcess, uniqueSleep, until } from '../host-process/kit.js';
import { HEARS_PROMPTS, makeGuest, SAYS_HEARD } from '../kit/guests.js';
import { openSession, waitForLog } from '../kit/log-watch.js';
import { type InstalledGuest, startSupervisor } from '../kit/real-supervisor.js';
import { jailMissing } from '../kit/worker-bench.js';

const skip = await jailMissing();
const CONFIG = '[approval]\nmode = "yolo"\n';

/** A capsule that gives one request to one of the process calls when a person says something, and logs the answer. */
function spawner(call: string, cmd: string, args: readonly string[], entries = '["sh"]'): Promise<InstalledGuest> {
  const request = JSON.stringify({ cmd, args });
  const quoted = request.replaceAll('\\', '\\\\').replaceAll('"', '\\"');
  return makeGuest({
    name: 'spawner',
    restart: 'never',
    manifest: `[capabilities]\nhost_process = ${entries}\n${HEARS_PROMPTS}`,
    calls: { [call]: { params: 1, result: true } },
    data: { 4096: quoted },
    body: `(local.set $a (call $${call} (call $block (i32.const 4096) (i32.const ${request.length}))))
      ;; The answer's block lives until the next host call, so its bytes behind the status byte are logged from a copy.
      (local.set $c (i64.sub (call $length (local.get $a)) (i64.const 1)))
      (local.set $b (call $alloc (local.get $c)))
      (loop $x
        (call $store_u8 (i64.add (local.get $b) (i64.extend_i32_u (local.get $i)))
          (call $load_u8 (i64.add (local.get $a) (i64.extend_i32_u (i32.add (local.get $i) (i32.const 1))))))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br_if $x (i64.lt_u (i64.extend_i32_u (local.get $i)) (local.get $c))))
      (drop (call $astrid_log (call $block (i32.const 16) (i32.const 4)) (local.get $b)))
      ${SAYS_HEARD}`,
  });
}

test('a capsule that runs an allowed command gets its output, and the overlay what it wrote', { skip }, async (t) => {
  const guest = await spawner('astrid_spawn_host', 'sh', [
    '-c',
    'cat seed; echo "es\\"caped"; for f in /proc/self/fd/*; do readlink $f; done | grep -v -e ^/dev/null -e ^socket: -e ^pipe: | wc -l; echo y > made',
  ]);
  const supervisor = await startSupervisor({ builtins: { spawner: guest }, config: CONFIG, files: { seed: 'SEED' } });
  t.teardown(supervisor.end);
  const client = await supervisor.connect();
  t.teardown(() => client.close());
  const { id, say } = await openSession(client, supervisor.workspace);
  await say('go');
  // Nothing but its three streams, and nothings in the place of what the supervisor could not keep from it.
  await t.resolves(waitForLog(client, 'spawner', /"stdout":"SEEDes\\"caped\\n0\\n","stderr":"","exit_code":0/));
  const rows = (await client.request('overlay.diff', { session: id })) as DiffRow[];
  t.same(
    rows.map(({ path }) => path),
    ['made'],
  );
  t.throws(() => readFileSync(join(supervisor.workspace, 'made')), { code: 'ENOENT' });
});

test('a command that the manifest does not name is refused, whatever the mode', { skip }, async (t) => {
  const guest = await spawner('astrid_spawn_host', 'sh', ['-c', 'true'], '["git status"]');
  const supervisor = await startSupervisor({ builtins: { spawner: guest }, config: CONFIG });
  t.teardown(supervisor.end);
  const client = await supervisor.connect();
  t.teardown(() => client.close());
  const { say } = await openSession(client, supervisor.workspace);
  await say('go');
  await t.resolves(waitForLog(client, 'spawner', /capability_missing/));
});

test('a command dies with a supervisor that is killed, and what it wrote is there after the next start', {
  skip,
}, async (t) => {
  const word = uniqueSleep();
  const script = `echo kept > written; (setsid nohup sleep ${word} &); trap "" TERM; sleep ${word}; sleep ${word}`;
  const guest = await spawner('astrid_spawn_background_host', 'sh', ['-c', script]);
  const supervisor = await startSupervisor({ builtins: { spawner: guest }, config: CONFIG });
  const client = await supervisor.connect();
  const { id, say } = await openSession(client, supervisor.workspace);
  await say('go');
  await until('they run', () => findProcess(`sleep\0${word}`).length >= 2);
  client.close();
  await supervisor.kill('SIGKILL');
  await until('nothing survives', () => findProcess(word).length === 0);
  const again = await supervisor.again();
  t.teardown(again.end);
  const next = await again.connect();
  t.teardown(() => next.close());
  const rows = (await next.request('overlay.diff', { session: id })) as DiffRow[];
  t.same(
    rows.map(({ path }) => path),
    ['written'],
  );
});
