import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { type Test, test } from 'tap';
import type { LoggedEvent } from '../../abi/audit/protocol.js';
import type { CapsuleRow } from '../../abi/capsule-control.js';
import type { ControlClient } from '../../cli/client.js';
import { HEARS_PROMPTS, logAt, SAYS_HEARD } from '../kit/guests.js';
import { openSession, rowOf, waitForLog, waitForNthLog } from '../kit/log-watch.js';
import { childrenOf, startSupervisor } from '../kit/real-supervisor.js';
import { faultOf, installOffer, makeOffer, type Offered, planOf, WAIT } from './kit.js';

async function start(t: Test, options: Parameters<typeof startSupervisor>[0] = {}) {
  const supervisor = await startSupervisor(options);
  t.teardown(supervisor.end);
  const client = await supervisor.connect();
  t.teardown(() => client.close());
  return { supervisor, client };
}

const listNames = async (client: ControlClient) =>
  ((await client.request('capsule.list', {})) as CapsuleRow[]).map(
    ({ name, version, state }) => `${name} ${version} ${state}`,
  );
const capsuleDir = (home: string, name: string) => join(home, 'home/default/.local/capsules', name);

test('an install, planned and consented to, runs at once, is written down and comes back after a restart', async (t) => {
  const { supervisor, client } = await start(t);
  const offer = await makeOffer({ name: 'demo', body: SAYS_HEARD });
  const plan = await planOf(client, offer);
  t.match(plan, {
    kind: 'install',
    previous: null,
    refusal: null,
    tier: { tier: 'jail' },
    generation: { generation: 3 },
  });
  t.same(await listNames(client), [], 'a plan changes nothing');
  const result = await installOffer(client, offer);
  t.match(result, { name: 'demo', kind: 'install', waits: null, hash: plan.hash });
  t.same(await listNames(client), ['demo 1.0.0 ready']);
  const { say } = await openSession(client, supervisor.workspace);
  await say('hello');
  await waitForLog(client, 'demo', /heard/);
  const entries: LoggedEvent[] = [];
  for await (const entry of await client.stream('audit.tail', { lines: 200 })) entries.push(entry as LoggedEvent);
  const written = JSON.stringify(entries);
  t.match(written, /capsule\.install/);
  t.match(written, new RegExp(plan.hash ?? '?'));
  t.match(written, /dir:\/somewhere/);
  t.notOk(existsSync(join(capsuleDir(supervisor.home, 'demo'), 'undo.json')));
  client.close();
  await supervisor.kill('SIGTERM');
  const second = await supervisor.again();
  t.teardown(second.end);
  const again = await second.connect();
  t.teardown(() => again.close());
  t.same(await listNames(again), ['demo 1.0.0 ready']);
});

test('an install, something else than what was shown, is refused', async (t) => {
  const { client } = await start(t);
  const shown = await makeOffer({ name: 'demo' });
  const { planHash } = await planOf(client, shown);
  const other = await makeOffer({ name: 'demo', body: SAYS_HEARD });
  const wider = { ...shown, manifest: `${shown.manifest}\n[capabilities]\nnet = ["*"]\n` };
  for (const swapped of [other, wider, { ...shown, source: 'https://elsewhere.example/x' }]) {
    const fault = await faultOf(client.request('capsule.install', { ...swapped, planHash }, WAIT));
    t.match(fault, { code: 'plan_changed', field: 'planHash' });
  }
  t.same(await listNames(client), []);
  await installOffer(client, await makeOffer({ name: 'other', manifest: '[exports.a]\nb = "1.0.0"\n' }));
  await client.request('capsule.install', { ...shown, planHash }, WAIT);
  const late = await faultOf(client.request('capsule.install', { ...shown, planHash }, WAIT));
  t.equal(late.code, 'plan_changed', 'what is installed meanwhile is part of the plan: it is used up');
});

test('a swap puts other code in the place of what runs, and nothing that asks for more', async (t) => {
  const { supervisor, client } = await start(t);
  const offer = await makeOffer({ name: 'demo' });
  const swap = (offered: Offered) => client.request('capsule.swap', offered, WAIT);
  t.match(await faultOf(swap(offer)), { code: 'plan_changed' }, 'nothing is installed');
  await installOffer(client, offer);
  const other = await makeOffer({ name: 'demo', body: SAYS_HEARD });
  const more = [
    { ...other, manifest: `${other.manifest}\n[capabilities]\nnet = ["*"]\n` },
    { ...other, source: 'https://elsewhere.example/x' },
    { ...other, manifest: other.manifest.replace('version = "1.0.0"', 'version = "1.0.1"') },
    { ...other, manifest: other.manifest.replace('version = "1.0.0"', 'version = "0.9.0"'), allowDowngrade: true },
  ];
  for (const offered of more) t.match(await faultOf(swap(offered)), { code: 'plan_changed', field: 'manifest' });
  const { hash } = await planOf(client, other);
  t.match(await swap(other), { name: 'demo', kind: 'reinstall', hash, waits: null });
  const { say } = await openSession(client, supervisor.workspace);
  await say('hello');
  await waitForLog(client, 'demo', /heard/);
  const entries: LoggedEvent[] = [];
  for await (const entry of await client.stream('audit.tail', { lines: 200 })) entries.push(entry as LoggedEvent);
  t.match(
    JSON.stringify(entries),
    new RegExp(`capsule\\.upgrade.*${hash}`),
    'it is written down like any other change',
  );
});

test('an install that was said to come finds its process already started; of what does not run, nothing is started', async (t) => {
  const { supervisor, client } = await start(t);
  const pid = supervisor.child.pid ?? 0;
  const alone = childrenOf(pid);
  await client.request('capsule.expect', { name: 'demo' });
  t.same(childrenOf(pid), alone);
  await installOffer(client, await makeOffer({ name: 'demo' }));
  const running = childrenOf(pid);
  // A spare process is kept for ten seconds: what can be done before it is asked for is done before.
  const next = await makeOffer({ name: 'demo', body: SAYS_HEARD });
  const { planHash } = await planOf(client, next);
  await client.request('capsule.expect', { name: 'demo' });
  await client.request('capsule.expect', { name: 'demo' });
  const expecting = childrenOf(pid);
  t.equal(expecting.length, running.length + 1, 'one, however often it is said');
  await client.request('capsule.install', { ...next, planHash }, WAIT);
  const after = childrenOf(pid);
  t.equal(after.length, running.length);
  t.same(
    after.filter((child) => !expecting.includes(child)),
    [],
    'no process was started for it',
  );
});

test('an install, a damaged request, is answered with its field', async (t) => {
  const { client } = await start(t);
  const offer = await makeOffer({ name: 'demo' });
  t.match(await faultOf(client.request('capsule.plan', { ...offer, source: 'a\nb' })), {
    code: 'invalid_argument',
    field: 'source',
  });
  t.match(await faultOf(client.request('capsule.plan', { ...offer, source: 'builtin' })), {
    code: 'invalid_argument',
    field: 'source',
  });
  t.match(await faultOf(client.request('capsule.plan', { ...offer, wasm: Buffer.from('nothing') })), {
    code: 'bad_module',
  });
  t.match(await faultOf(client.request('capsule.plan', { ...offer, wasm: null })), {
    code: 'bad_module',
    field: 'component',
  });
  t.match(await faultOf(client.request('capsule.plan', { ...offer, manifest: 'name = ' })), { code: 'bad_manifest' });
});

test('an install, the name of a capsule of the system, is refused, and the system capsule stays', async (t) => {
  const system = await makeOffer({ name: 'fs' });
  const { client } = await start(t, { builtins: { fs: { manifest: system.manifest, wasm: system.wasm! } } });
  const evil = await makeOffer({ name: 'fs', version: '9.0.0', body: SAYS_HEARD });
  t.match((await planOf(client, evil)).refusal, { code: 'already_exists' });
  t.match(await faultOf(installOffer(client, evil)), { code: 'already_exists', field: 'fs' });
  t.match(await faultOf(client.request('capsule.remove', { name: 'fs' }, WAIT)), { code: 'not_supported' });
  t.same(await listNames(client), ['fs 1.0.0 ready']);
});

test('an upgrade, a version that becomes ready, takes the place of the old one; values stay', async (t) => {
  const { supervisor, client } = await start(t);
  const calls = { astrid_kv_get: { params: 1, result: true }, astrid_kv_set: { params: 2, result: true } };
  const key = '(call $block (i32.const 32) (i32.const 5))';
  await installOffer(
    client,
    await makeOffer({ name: 'demo', calls, body: `(drop (call $astrid_kv_set ${key} ${key})) ${SAYS_HEARD}` }),
  );
  const { say } = await openSession(client, supervisor.workspace);
  await say('one');
  await waitForLog(client, 'demo', /heard/);
  const before = await rowOf(client, 'demo');
  // The new one says "heard" only when the value of the old one is there.
  const body = `(if (i64.gt_u (call $length (call $astrid_kv_get ${key})) (i64.const 4)) (then ${SAYS_HEARD.replace('(i32.const 0)', '')} )) (i32.const 0)`;
  const next = await makeOffer({ name: 'demo', version: '1.1.0', calls, body });
  const began = performance.now();
  const result = await installOffer(client, next);
  t.match(result, { kind: 'upgrade', version: '1.1.0', waits: null });
  t.comment(`plan and replace took ${Math.round(performance.now() - began)} ms`);
  const row = await rowOf(client, 'demo');
  t.match(row, { version: '1.1.0', state: 'ready' });
  t.not(row.pid, before.pid);
  await say('two');
  await waitForNthLog(client, 'demo', /heard/, 2);
});

test('an upgrade, a version that does not become ready, leaves the old one running and installed', async (t) => {
  const { supervisor, client } = await start(t);
  await installOffer(client, await makeOffer({ name: 'demo', body: SAYS_HEARD }));
  const before = await rowOf(client, 'demo');
  const broken = await makeOffer({ name: 'demo', version: '2.0.0', more: '(func $boom (unreachable)) (start $boom)' });
  t.match(await faultOf(installOffer(client, broken)), { code: 'crashed' });
  t.match(await rowOf(client, 'demo'), { version: '1.0.0', state: 'ready', pid: before.pid }, 'the same process');
  t.match(readFileSync(join(capsuleDir(supervisor.home, 'demo'), 'Capsule.toml'), 'utf8'), /version = "1\.0\.0"/);
  const { say } = await openSession(client, supervisor.workspace);
  await say('still there?');
  await waitForLog(client, 'demo', /heard/);
  const fresh = await makeOffer({ name: 'fresh', more: '(func $boom (unreachable)) (start $boom)' });
  t.match(await faultOf(installOffer(client, fresh)), { code: 'crashed' });
  t.same(
    readdirSync(join(supervisor.home, 'home/default/.local/capsules')),
    ['demo'],
    'a first install leaves nothing',
  );
});

test('an upgrade of a run loop, a version that does not become ready, the old one is started again', async (t) => {
  const { client } = await start(t);
  const calls = { astrid_ipc_recv: { params: 2, result: true }, astrid_signal_ready: { params: 0, result: true } };
  const wait = '(call $block (i32.const 48) (i32.const 5))';
  const handle = '(call $block (i32.const 64) (i32.const 1))';
  const run = `(drop (call $astrid_signal_ready)) (loop $x (drop (call $astrid_ipc_recv ${handle} ${wait})) (br $x)) (i32.const 0)`;
  const loop = { name: 'loop', calls, data: { 48: '60000', 64: '1' }, exports: { run }, manifest: HEARS_PROMPTS };
  await installOffer(client, await makeOffer(loop));
  t.match(await rowOf(client, 'loop'), { version: '1.0.0' });
  const broken = await makeOffer({ ...loop, version: '2.0.0', exports: { run: '(unreachable)' } });
  t.match(await faultOf(installOffer(client, broken)), { code: 'crashed' });
  t.match(await rowOf(client, 'loop'), { version: '1.0.0' });
  const row = await rowOf(client, 'loop');
  t.ok(row.pid !== null, 'it has a process');
  await installOffer(client, await makeOffer({ ...loop, version: '2.0.1' }));
  t.match(await rowOf(client, 'loop'), { version: '2.0.1' });
});

test('an upgrade, permissions that widen or a source that changed, says so; one that narrows does not', async (t) => {
  const { client } = await start(t);
  const wide = `${HEARS_PROMPTS}\n[capabilities]\nfs_read = ["cwd://"]\n`;
  await installOffer(client, await makeOffer({ name: 'demo', manifest: wide }));
  const narrow = await planOf(client, await makeOffer({ name: 'demo', version: '1.0.1' }));
  t.same(narrow.consent, []);
  t.match(narrow.changes, [{ change: 'removed', what: 'fs_read', entry: 'cwd://' }]);
  const more = `${wide}fs_write = ["cwd://"]\n[publish]\n"a.v1.b" = { wit = "opaque" }\n`;
  const wider = await planOf(client, await makeOffer({ name: 'demo', version: '1.0.1', manifest: more }));
  t.match(wider.consent, [/gets 2 permissions/]);
  t.match(wider.changes, [
    { change: 'added', what: 'fs_write', danger: 'high' },
    { change: 'added', what: 'publish', entry: 'a.v1.b' },
  ]);
  const moved = await planOf(
    client,
    await makeOffer({ name: 'demo', version: '1.0.1', manifest: wide, source: 'https://x.example/' }),
  );
  t.match(moved.consent, [/another source/]);
  const memory = await planOf(
    client,
    await makeOffer({ name: 'demo', version: '1.0.1', manifest: `${wide}[limits]\nmemory_pages = 20\n` }),
  );
  t.same(memory.consent, [], 'less memory');
});

test('a downgrade, without the word for it, is refused', async (t) => {
  const { client } = await start(t);
  await installOffer(client, await makeOffer({ name: 'demo', version: '2.0.0' }));
  const old = await makeOffer({ name: 'demo', version: '1.9.0' });
  t.match(await faultOf(installOffer(client, old)), { code: 'already_exists' });
  t.match(await installOffer(client, { ...old, allowDowngrade: true }), { kind: 'downgrade' });
  t.same(await listNames(client), ['demo 1.9.0 ready']);
});

test('dependents: they wait for their import, start with it, and keep it from being removed or changed away', async (t) => {
  const { client } = await start(t);
  const needs = await makeOffer({ name: 'needs', manifest: '[imports.astrid]\nthing = "^1.0"\n' });
  t.match((await planOf(client, needs)).imports, [{ name: 'thing', met: false, providers: [] }]);
  t.match(await installOffer(client, needs), { waits: /no capsule exports/ });
  t.same(await listNames(client), ['needs 1.0.0 waiting-for-import']);
  const gives = await makeOffer({ name: 'gives', manifest: '[exports.astrid]\nthing = "1.2.0"\n' });
  t.same((await planOf(client, gives)).startsToo, ['needs']);
  t.match(await installOffer(client, gives), { waits: null, startedToo: ['needs'] });
  t.same(await listNames(client), ['gives 1.0.0 ready', 'needs 1.0.0 ready']);
  t.match(await faultOf(client.request('capsule.remove', { name: 'gives' }, WAIT)), {
    code: 'in_use',
    message: /needs/,
  });
  const without = await makeOffer({ name: 'gives', version: '2.0.0', manifest: '[exports.astrid]\nthing = "2.0.0"\n' });
  t.match(await faultOf(installOffer(client, without)), { code: 'in_use', message: /needs/ });
  const greedy = await makeOffer({ name: 'needs', version: '1.0.1', manifest: '[imports.astrid]\nother = "^1.0"\n' });
  t.match(await faultOf(installOffer(client, greedy)), { code: 'unmet_import' });
  const second = await makeOffer({ name: 'second', manifest: '[exports.astrid]\nthing = "1.3.0"\n' });
  await installOffer(client, second);
  const tree = JSON.stringify(await client.request('capsule.tree', {}));
  t.match(
    tree,
    /"providers":\[\{"capsule":"second","version":"1\.3\.0"\},\{"capsule":"gives"/,
    'the highest version first',
  );
  t.match(await client.request('capsule.remove', { name: 'gives' }, WAIT), { name: 'gives', version: '1.0.0' });
  await client.request('capsule.remove', { name: 'needs' }, WAIT);
  t.same(await listNames(client), ['second 1.0.0 ready']);
});

test('remove, a capsule that runs, is gone from processes, bus and store, and its name is free', async (t) => {
  const { supervisor, client } = await start(t);
  await installOffer(client, await makeOffer({ name: 'demo', body: SAYS_HEARD }));
  await client.request('capsule.remove', { name: 'demo' }, WAIT);
  t.same(await client.request('ps', {}), []);
  t.same(readdirSync(join(supervisor.home, 'home/default/.local/capsules')), []);
  t.match(await faultOf(client.request('capsule.remove', { name: 'demo' }, WAIT)), { code: 'not_found' });
  await installOffer(client, await makeOffer({ name: 'demo', body: SAYS_HEARD }));
  const { say } = await openSession(client, supervisor.workspace);
  await say('hello');
  await waitForLog(client, 'demo', /heard/);
});

test('a hook of an install, good, is run once before the capsule', async (t) => {
  const { client } = await start(t);
  const offer = await makeOffer({ name: 'demo', exports: { astrid_install: `${logAt(32, 5)} (i32.const 0)` } });
  t.same((await planOf(client, offer)).hooks, ['install']);
  await installOffer(client, offer);
  t.same(await listNames(client), ['demo 1.0.0 ready']);
  await waitForLog(client, 'demo', /heard/);
});

test('a hook of an install, failing, leaves nothing installed and says why', async (t) => {
  const { client } = await start(t);
  const offer = await makeOffer({ name: 'demo', exports: { astrid_install: '(i32.const 7)' } });
  t.match(await faultOf(installOffer(client, offer)), { message: /hook returned 7/ });
  t.same(await listNames(client), []);
  t.same(await client.request('ps', {}), []);
});

test('an install, where the jail cannot be had, fails with the way out and leaves nothing', async (t) => {
  const { client } = await start(t, { searchPath: '/nonexistent' });
  const offer = await makeOffer({ name: 'demo' });
  t.match((await planOf(client, offer)).tier, { tier: null });
  t.match(await faultOf(installOffer(client, offer)), { code: 'tier_unavailable' });
  t.same(await listNames(client), []);
});

test('a client, before it has shown the token, cannot make the supervisor hold a large frame', async (t) => {
  const { supervisor, client } = await start(t);
  const socket = connect(join(supervisor.home, 'run/system.sock'));
  const header = Buffer.alloc(4);
  header.writeUInt32LE(1024 * 1024);
  socket.write(header);
  await once(socket, 'close');
  t.same(await listNames(client), [], 'the others do not notice');
});
