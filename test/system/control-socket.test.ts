import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'tap';
import { CONTROL_METHODS, CONTROL_PROTOCOL, type ProcessRow, type StatusResult } from '../../abi/control.js';
import { encodeFrame } from '../../bus/frame.js';
import { FrameReader } from '../../bus/frame-reader.js';
import { openHome } from '../../supervisor/home.js';
import { takeInstanceLock } from '../../supervisor/instance-lock.js';
import { makeGuest, SAYS_HEARD } from '../kit/guests.js';
import { openSession, waitForLog } from '../kit/log-watch.js';
import { childrenOf, commandOf, startSupervisor } from '../kit/real-supervisor.js';
import { jailMissing } from '../kit/worker-bench.js';

interface Answer {
  readonly t: string;
  readonly error?: { readonly code: string; readonly field?: string };
}

/** Writes raw bytes to the control socket and gathers what comes back until it closes. */
function exchange(path: string, bytes: readonly Buffer[]): Promise<Answer[]> {
  return new Promise((resolve) => {
    const socket: Socket = connect(path);
    const reader = new FrameReader(1 << 20);
    const answers: Answer[] = [];
    socket.on('data', (chunk) => answers.push(...(reader.push(chunk) as Answer[])));
    socket.on('error', () => undefined);
    socket.on('close', () => resolve(answers));
    for (const part of bytes) socket.write(part);
  });
}

const hello = (token: string, more: object = {}) =>
  encodeFrame({ t: 'hello', token, protocol: CONTROL_PROTOCOL, client: 'test', ...more });

test('the control socket lets in who has the token, and nothing it is sent ends the supervisor', async (t) => {
  const supervisor = await startSupervisor({ builtins: { good: await makeGuest({ name: 'good', body: SAYS_HEARD }) } });
  t.teardown(supervisor.end);
  const socket = join(supervisor.home, 'run/system.sock');
  const token = readFileSync(join(supervisor.home, 'run/system.token'), 'utf8');

  t.match(token, /^[0-9a-f]{64}$/);
  t.equal(statSync(join(supervisor.home, 'run')).mode & 0o777, 0o700);
  t.equal(statSync(socket).mode & 0o777, 0o600);
  t.equal(statSync(join(supervisor.home, 'run/system.token')).mode & 0o777, 0o600);
  t.equal(statSync(join(supervisor.home, 'keys/audit.key')).mode & 0o777, 0o600);

  const refused: readonly [string, Buffer[], string][] = [
    ['a wrong token', [hello('0'.repeat(64))], 'bad_token'],
    ['an empty token', [hello('')], 'bad_token'],
    ['a token that is one digit short', [hello(token.slice(1))], 'bad_token'],
    ['another protocol', [hello(token, { protocol: 2 })], 'bad_protocol'],
    ['a request before the hello', [encodeFrame({ t: 'req', id: 1, method: 'status', params: {} })], 'bad_frame'],
    ['a list instead of a hello', [encodeFrame([1, 2, 3])], 'bad_frame'],
  ];
  for (const [what, bytes, code] of refused) {
    t.match(await exchange(socket, bytes), [{ t: 'refused', error: { code } }], what);
  }
  const garbage: readonly [string, Buffer[]][] = [
    ['a frame of 4 GiB', [Buffer.from([0xff, 0xff, 0xff, 0xff, 1])]],
    ['a frame of no bytes', [Buffer.from([0, 0, 0, 0])]],
    ['bytes that are no msgpack', [Buffer.from([3, 0, 0, 0, 0xc1, 0xc1, 0xc1])]],
    ['an HTTP request', [Buffer.from('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')]],
    ['deep nesting', [Buffer.concat([Buffer.from([0x00, 0x40, 0, 0]), Buffer.alloc(0x4000, 0x91)])]],
    ['a request without an id', [hello(token), encodeFrame({ t: 'req', method: 'status' })]],
  ];
  for (const [what, bytes] of garbage) {
    const answers = await exchange(socket, bytes);
    t.notOk(
      answers.some((answer) => answer.t === 'res'),
      what,
    );
  }

  const client = await supervisor.connect();
  t.teardown(() => client.close());
  for (const method of Object.keys(CONTROL_METHODS)) {
    if (method === 'stop') continue;
    const bad = client.request(method as 'status', { surprise: true } as never);
    await t.rejects(bad, { code: 'invalid_argument' }, `${method} names what it does not know`);
  }
  await t.rejects(client.request('no.such.method' as 'status', {} as never), {
    code: 'invalid_argument',
    field: 'method',
  });
  await t.rejects(client.request('kill', { target: 'nobody' }), { code: 'not_found', field: 'target' });
  await t.rejects(client.request('session.open', { workspace: 'relative', interactive: false }), {
    code: 'invalid_argument',
    field: 'workspace',
  });
  await t.rejects(client.request('session.open', { workspace: '/no/such/place', interactive: false }), {
    code: 'not_found',
  });
  const { id } = await openSession(client, supervisor.workspace);
  const forged = client.request('bus.publish', { session: id, topic: 'astrid.v1.approval.response.x', payload: {} });
  await t.rejects(forged, { code: 'capability_missing', field: 'topic' });
  t.match(await client.request('status', {}), { capsules: { total: 1, ready: 1 } }, 'and it still answers');
});

test('a second supervisor on the same home is refused, a stale socket is not mistaken for a live one', async (t) => {
  const supervisor = await startSupervisor({ builtins: { good: await makeGuest({ name: 'good', body: SAYS_HEARD }) } });
  await t.rejects(supervisor.again(), /already_running/);
  const client = await supervisor.connect();
  const { auditor } = (await client.request('status', {})) as StatusResult;
  t.match(auditor, { state: 'up', dropped: 0 });

  await supervisor.kill('SIGKILL');
  t.ok(existsSync(join(supervisor.home, 'run/system.sock')), 'the socket file is left behind');
  t.ok(existsSync(join(supervisor.home, 'run/system.ready')), 'and so is the word that it is ready');
  const next = await supervisor.again();
  t.teardown(next.end);
  const again = await next.connect();
  t.teardown(() => again.close());
  const after = ((await again.request('status', {})) as StatusResult).auditor;
  t.ok(after.treeSize > auditor.treeSize, 'the log goes on where it was');
  t.notSame(after.pid, auditor.pid);
});

test('a supervisor that is killed leaves no process behind, not even a capsule in an endless loop', async (t) => {
  const body = `${SAYS_HEARD.replace('(i32.const 0)', '')} (loop $x (br $x)) (i32.const 0)`;
  const manifest = '\n[[interceptor]]\nevent = "cli.v1.command.execute"\naction = "go"\n';
  const hasJail = (await jailMissing()) === false;
  const supervisor = await startSupervisor({
    builtins: { looper: await makeGuest({ name: 'looper', body }) },
    installed: hasJail ? { caged: await makeGuest({ name: 'caged', body, manifest }) } : {},
  });
  const client = await supervisor.connect();
  const { id, say } = await openSession(client, supervisor.workspace);
  await say('go');
  await client.request('bus.publish', { session: id, topic: 'cli.v1.command.execute', payload: {} });
  await waitForLog(client, 'looper', /heard/);
  if (hasJail) await waitForLog(client, 'caged', /heard/);
  const rows = (await client.request('ps', {})) as ProcessRow[];
  const pids = [...rows.map(({ pid }) => pid ?? 0), ...childrenOf(supervisor.child.pid ?? 0)];
  t.ok(
    pids.some((pid) => /worker/.test(commandOf(pid))),
    'there is something to be left behind',
  );
  await supervisor.kill('SIGKILL');
  const next = await supervisor.again();
  t.teardown(next.end);
  t.same(
    pids.map(commandOf).filter((command) => /worker|auditor/.test(command)),
    [],
  );
});

test('everything but one of many starts at once is refused', async (t) => {
  const home = mkdtempSync(join(tmpdir(), 'astrid-lock-'));
  t.teardown(() => rmSync(home, { recursive: true }));
  const tries = Array.from({ length: 50 }, () => takeInstanceLock(home, join(home, 'none.sock')));
  const settled = await Promise.allSettled(tries);
  const winners = settled.filter((one) => one.status === 'fulfilled');
  t.equal(winners.length, 1);
  for (const one of settled) if (one.status === 'rejected') t.match(one.reason, { code: 'already_running' });
  for (const one of winners) await one.value();
  const release = await takeInstanceLock(home, join(home, 'none.sock'));
  await release();
});

test('a home that others can enter, or that is a file, is refused', async (t) => {
  const root = mkdtempSync(join(tmpdir(), 'astrid-home-'));
  t.teardown(() => rmSync(root, { recursive: true }));
  chmodSync(root, 0o755);
  await t.rejects(openHome(root), { code: 'bad_home', field: 'home', message: /0755/ });
  await t.rejects(openHome('relative'), { code: 'bad_home' });
  await t.rejects(openHome(join(root, 'x'.repeat(110))), { code: 'bad_home', message: /too long/ });
  writeFileSync(join(root, 'file'), '');
  for (const path of [join(root, 'file'), join(root, 'file', 'below')]) {
    await t.rejects(openHome(path), { code: 'bad_home', field: 'home', message: /cannot be used as a directory/ });
  }
  const home = join(root, 'home');
  await openHome(home);
  rmSync(join(home, 'keys'), { recursive: true });
  symlinkSync(root, join(home, 'keys'));
  await t.rejects(openHome(home), { code: 'bad_home' }, 'a link in the place of a directory');
});

test('when the auditor is killed it comes back, and what happened before is still there', async (t) => {
  const supervisor = await startSupervisor({ builtins: { good: await makeGuest({ name: 'good', body: SAYS_HEARD }) } });
  t.teardown(supervisor.end);
  const client = await supervisor.connect();
  t.teardown(() => client.close());
  const before = ((await client.request('status', {})) as StatusResult).auditor;
  process.kill(before.pid ?? 0, 'SIGKILL');
  // Refused while it is down, or late enough to be served by the next one: both are right, losing it would not be.
  const refusals = new Set<string>();
  let opened = null;
  while (opened === null) {
    opened = await openSession(client, supervisor.workspace).catch((error: { code: string }) => {
      refusals.add(error.code);
      return null;
    });
  }
  refusals.delete('audit_unavailable');
  t.same([...refusals], [], 'refused for no other reason');
  await opened.say('go');
  await waitForLog(client, 'good', /heard/);
  const after = ((await client.request('status', {})) as StatusResult).auditor;
  t.equal(after.state, 'up');
  t.notSame(after.pid, before.pid);
  t.ok(after.treeSize > before.treeSize);
});
