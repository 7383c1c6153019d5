import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { type Test, test } from 'tap';
import { makeGuest } from '../kit/guests.js';
import { openSession, rowOf, waitForLog, waitForNthLog } from '../kit/log-watch.js';
import { type InstalledGuest, type RealSupervisor, startSupervisor } from '../kit/real-supervisor.js';
import { UplinkClient } from '../kit/uplink-client.js';
import { callAndSay, MORE, NET_CALLS } from './guest-parts.js';

const MAY_BIND = '\n[capabilities]\nuplink = true\nnet_bind = ["unix:*"]\n';
const HANDLE = 512;
const FRAME = 1024;
const BIND = '(drop (call $astrid_net_bind_unix (i64.const 0))) (drop (call $astrid_signal_ready))';
const ACCEPT = `(local.set $i (call $keep (call $astrid_net_accept (i64.const 0)) (i32.const ${HANDLE})))`;
const handle = `(call $block (i32.const ${HANDLE + 1}) (i32.sub (local.get $i) (i32.const 1)))`;
/** Reply at FRAME: byte 0 of the call, byte 1 of the read, then the body; $j bytes in all. */
const READ = `(local.set $j (call $keep (call $astrid_net_read ${handle}) (i32.const ${FRAME})))`;

/** Serves one client after the other: what it reads, it writes back. */
const ECHO_RUN = `${BIND}
  (loop $clients
    ${ACCEPT}
    (loop $frames
      ${READ}
      (br_if $frames (i32.eq (i32.load8_u (i32.const ${FRAME + 1})) (i32.const 2)))
      (if (i32.eq (i32.load8_u (i32.const ${FRAME + 1})) (i32.const 1))
        (then (drop (call $astrid_net_close_stream ${handle})) (br $clients)))
      (drop (call $astrid_net_write ${handle}
        (call $block (i32.const ${FRAME + 2}) (i32.sub (local.get $j) (i32.const 2)))))
      (br $frames)))
  (i32.const 0)`;

async function start(t: Test, builtins: Record<string, InstalledGuest>): Promise<RealSupervisor> {
  const supervisor = await startSupervisor({ builtins });
  t.teardown(supervisor.end);
  return supervisor;
}

async function knock(t: Test, { home }: RealSupervisor): Promise<UplinkClient> {
  const client = await UplinkClient.open(join(home, 'run/uplink.sock'));
  t.teardown(() => client.close());
  client.hello(readFileSync(join(home, 'run/system.token'), 'utf8'));
  return client;
}

test('a client of the original connects, shakes hands and is answered by the capsule that serves it', async (t) => {
  const echo = await makeGuest({
    name: 'echo',
    manifest: MAY_BIND,
    calls: NET_CALLS,
    more: MORE,
    exports: { run: ECHO_RUN },
  });
  const watcher = await makeGuest({
    name: 'watcher',
    manifest: `\n[[interceptor]]\nevent = "client.v1.*"\naction = "go"\n`,
    calls: { astrid_get_caller: { params: 0, result: true } },
    more: MORE,
    body: `(local.set $j (call $keep (call $astrid_get_caller) (i32.const 1024)))
      (call $say (i32.const 1024) (local.get $j))
      (i32.const 0)`,
  });
  const supervisor = await start(t, { echo, watcher });
  const control = await supervisor.connect();
  t.teardown(() => control.close());
  t.equal(statSync(join(supervisor.home, 'run/uplink.sock')).mode & 0o777, 0o600);
  const first = await knock(t, supervisor);
  t.match(await first.nextJson(), { status: 'ok', protocol_version: 1, server_version: /^\d/ });
  for (const text of ['{"topic":"user.v1.prompt"}', 'x'.repeat(9000), '']) {
    first.send(text);
    t.equal(await first.next(), text);
  }
  const row = await waitForLog(control, 'watcher', /source_id/);
  t.notMatch(row.message, '00000000-0000-0000-0000-000000000000', 'connected is said in the name of the capsule');
  first.close();
  const second = await knock(t, supervisor);
  t.match(await second.nextJson(), { status: 'ok' });
  second.send('still here');
  t.equal(await second.next(), 'still here');
  await supervisor.kill('SIGTERM');
  t.equal(await second.next(), null);
  t.equal(existsSync(join(supervisor.home, 'run/uplink.sock')), false, 'no socket stays behind');
});

test('eight clients are kept, accept says so, and when the guest dies all of them are closed', async (t) => {
  const keeper = await makeGuest({
    name: 'keeper',
    manifest: MAY_BIND,
    restart: 'never',
    calls: NET_CALLS,
    more: MORE,
    exports: {
      run: `${BIND}
        (loop $clients
          ${ACCEPT}
          (call $say (i32.const ${HANDLE}) (local.get $i))
          (br_if $clients (i32.eqz (i32.load8_u (i32.const ${HANDLE})))))
        ${callAndSay('astrid_net_poll_accept', 0, 0, FRAME)}
        (i32.store8 (i32.const ${HANDLE + 1}) (i32.const 56)) (local.set $i (i32.const 2))
        (loop $wait
          ${READ}
          (br_if $wait (i32.eq (i32.load8_u (i32.const ${FRAME + 1})) (i32.const 2))))
        (unreachable)`,
    },
  });
  const supervisor = await start(t, { keeper });
  const control = await supervisor.connect();
  t.teardown(() => control.close());
  const clients: UplinkClient[] = [];
  for (let count = 0; count < 8; count++) {
    const client = await knock(t, supervisor);
    t.match(await client.nextJson(), { status: 'ok' });
    clients.push(client);
  }
  await waitForLog(control, 'keeper', /quota_exceeded.*connection cap reached \(8\/8\)/);
  clients[7]?.send('die');
  for (const client of clients) t.equal(await client.next(), null);
  await waitForLog(control, 'keeper', /^ended/);
});

test('a capsule without net_bind gets neither listener nor client, and no socket is made', async (t) => {
  const empty = { at: 0, bytes: 0 };
  const plain = await makeGuest({
    name: 'plain',
    manifest: '\n[capabilities]\nuplink = true\n\n[[interceptor]]\nevent = "user.v1.prompt"\naction = "go"\n',
    calls: NET_CALLS,
    more: MORE,
    body: `${['bind_unix', 'accept', 'poll_accept']
      .map((name) => callAndSay(`astrid_net_${name}`, empty.at, empty.bytes, FRAME))
      .join('\n')} ${callAndSay('astrid_net_read', 40, 1, FRAME)} (i32.const 0)`,
    data: { 40: '1' },
  });
  const supervisor = await start(t, { plain });
  const control = await supervisor.connect();
  t.teardown(() => control.close());
  const { say } = await openSession(control, supervisor.workspace);
  await say('go');
  await waitForNthLog(control, 'plain', /capability_missing.*net_bind/, 3);
  await waitForLog(control, 'plain', /bad_handle/);
  // Its last line comes from inside its call.
  let { state } = await rowOf(control, 'plain');
  while (state === 'running' || state === 'waiting') ({ state } = await rowOf(control, 'plain'));
  t.equal(state, 'ready');
  t.equal(existsSync(join(supervisor.home, 'run/uplink.sock')), false);
});
