import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'tap';
import type { ElicitRow } from '../../abi/control.js';
import type { ControlClient } from '../../cli/client.js';
import { HEARS_PROMPTS } from '../kit/guests.js';
import { openSession, waitForLog } from '../kit/log-watch.js';
import { at, COPY, callAndSay, startKernel, wat } from './kernel-kit.js';

const ONE = { params: 1, result: true } as const;
const TWO = { params: 2, result: true } as const;

/** A guest whose install hook asks one question and logs the result. */
function asker(name: string, question: object, more: { manifest?: string; body?: string } = {}) {
  const text = JSON.stringify(question);
  const key = JSON.stringify({ key: 'token' });
  return {
    name,
    calls: { astrid_elicit: ONE, astrid_has_secret: ONE },
    data: { 100: wat(text), 3000: wat(key) },
    more: COPY,
    exports: { astrid_install: `${callAndSay('astrid_elicit', 100, text)} (i32.const 0)` },
    body: `${callAndSay('astrid_has_secret', 3000, key)} (i32.const 0)`,
    ...more,
  };
}

const install = (capsule: string) => ({ principal: 'default', capsule, kind: 'install' }) as const;

/** Answers every question that comes, and remembers the rows. */
async function answering(client: ControlClient, answer: (row: ElicitRow) => object): Promise<ElicitRow[]> {
  const rows: ElicitRow[] = [];
  const stream = await client.stream('elicit.follow', {});
  void (async () => {
    for await (const event of stream) {
      const row = event as ElicitRow;
      rows.push(row);
      if (row.state === 'open') await client.request('elicit.answer', { id: row.id, ...answer(row) });
    }
  })().catch(() => undefined);
  return rows;
}

test('install hook, a question answered over the control socket, the guest gets the value', async (t) => {
  const running = await startKernel([asker('asks', { type: 'text', key: 'city', description: 'Where?' })]);
  t.teardown(running.end);
  const client = await running.connect();
  t.teardown(() => client.close());
  const rows = await answering(client, () => ({ value: 'Köln' }));
  t.same(await running.kernel.lifecycle.runLifecycle(install('asks')), { kind: 'done' });
  t.equal((await waitForLog(client, 'asks', /value/)).message, '\x00{"value":"Köln"}');
  t.match(rows[0], { capsule: 'asks', kind: 'text', key: 'city', prompt: 'Where?', state: 'open' });
});

test('install hook, a select and an array, are checked in the kernel and told as the reference says', async (t) => {
  const select = { type: 'select', key: 'size', options: ['small', 'large'] };
  const running = await startKernel([asker('picks', select), asker('lists', { type: 'array', key: 'names' })]);
  t.teardown(running.end);
  const client = await running.connect();
  t.teardown(() => client.close());
  const stream = await client.stream('elicit.follow', { capsule: 'picks' });
  t.teardown(() => stream.cancel());
  const done = running.kernel.lifecycle.runLifecycle(install('picks'));
  const { value: first } = await stream[Symbol.asyncIterator]().next();
  const { id } = first as ElicitRow;
  await t.rejects(client.request('elicit.answer', { id, value: 'medium' }), { code: 'invalid_argument' });
  await t.rejects(client.request('elicit.answer', { id }), { code: 'invalid_argument' });
  await t.rejects(client.request('elicit.answer', { id: 'made-up', value: 'x' }), { code: 'not_found' });
  await client.request('elicit.answer', { id, value: 'large' });
  t.same(await done, { kind: 'done' });
  await waitForLog(client, 'picks', /\{"value":"large"\}/);
  await answering(client, () => ({ values: ['a', 'b'] }));
  t.same(await running.kernel.lifecycle.runLifecycle(install('lists')), { kind: 'done' });
  await waitForLog(client, 'lists', /\{"values":\["a","b"\]\}/);
});

test('install hook, a secret, is stored and is nowhere to be seen: not by the guest, in a log, an audit entry or a file', async (t) => {
  const SECRET = 'hunter2-canary-of-this-test';
  const running = await startKernel([
    asker('keeps', { type: 'secret', key: 'token' }),
    asker('other', { type: 'text', key: 'x' }),
  ]);
  t.teardown(running.end);
  const client = await running.connect();
  t.teardown(() => client.close());
  await answering(client, ({ kind }) => ({ value: kind === 'secret' ? SECRET : 'plain' }));
  t.same(await running.kernel.lifecycle.runLifecycle(install('keeps')), { kind: 'done' });
  t.equal((await waitForLog(client, 'keeps', /ok/)).message, '\x00{"ok":true}');
  const { say } = await openSession(client, running.home.replace(/home$/, ''));
  await say('go');
  // The same key of another capsule is another secret.
  t.equal((await waitForLog(client, 'keeps', /exists/)).message, '\x00{"exists":true}');
  t.equal((await waitForLog(client, 'other', /exists/)).message, '\x00{"exists":false}');
  client.close();
  await running.stop();
  const files = readdirSync(running.home, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  t.ok(files.length > 5);
  t.same(
    files.filter((file) => readFileSync(join(file.parentPath, file.name)).includes(SECRET)).map(({ name }) => name),
    [],
  );
});

test('install hook, nobody is connected, fails at once and names the key', async (t) => {
  const running = await startKernel([asker('asks', { type: 'text', key: 'city' })]);
  t.teardown(running.end);
  const client = await running.connect();
  t.teardown(() => client.close());
  await running.kernel.lifecycle.runLifecycle(install('asks'));
  t.match((await waitForLog(client, 'asks', /cancelled/)).message, /city: nobody is connected/);
});

test('elicit outside of the hooks, and malformed requests, are refused', async (t) => {
  const bad = [
    '{"type":"color","key":"a"}',
    '{"type":"select","key":"a","options":[]}',
    '{"type":"secret","key":"a:b"}',
    '{"type":"secret","key":""}',
    '{"key":"a"}',
    '[]',
    '{',
  ];
  const calls = bad.map((text, index) => callAndSay('astrid_elicit', 1000 + index * 100, text)).join('\n');
  const request = JSON.stringify({ type: 'text', key: 'a' });
  const running = await startKernel([
    {
      name: 'rude',
      calls: { astrid_elicit: ONE },
      data: Object.fromEntries([[100, wat(request)], ...bad.map((text, index) => [1000 + index * 100, wat(text)])]),
      more: COPY,
      exports: { astrid_install: `${calls} (i32.const 0)` },
      body: `${callAndSay('astrid_elicit', 100, request)} (i32.const 0)`,
    },
  ]);
  t.teardown(running.end);
  const client = await running.connect();
  t.teardown(() => client.close());
  const { say } = await openSession(client, running.home);
  await say('go');
  t.match((await waitForLog(client, 'rude', /not_supported/)).message, /astrid_install and astrid_upgrade only/);
  t.same(await running.kernel.lifecycle.runLifecycle(install('rude')), { kind: 'done' });
  const lines = await tailOf(client, 'rude');
  const refused = lines.filter((line) => line.includes('invalid_argument'));
  t.equal(refused.length, bad.length, lines.join('\n'));
});

async function tailOf(client: ControlClient, capsule: string): Promise<string[]> {
  const stream = await client.stream('logs', { capsule, lines: 1000, follow: false });
  const lines: string[] = [];
  for await (const event of stream) lines.push((event as { message: string }).message);
  return lines;
}

test('upgrade hook, gets the previous version as JSON, writes to the keys of its capsule, and what it kept is there for a restart', async (t) => {
  const running = await startKernel([
    {
      name: 'grows',
      calls: { astrid_kv_set: TWO, astrid_kv_get: ONE },
      data: { 100: 'prev' },
      more: COPY,
      exports: {
        astrid_upgrade: `(drop (call $astrid_kv_set ${at(100, 'prev')} (call $input))) (i32.const 0)`,
      },
      body: `${callAndSay('astrid_kv_get', 100, 'prev')} (i32.const 0)`,
    },
  ]);
  t.teardown(running.end);
  const client = await running.connect();
  t.teardown(() => client.close());
  const { runLifecycle } = running.kernel.lifecycle;
  const upgrade = { principal: 'default', capsule: 'grows', kind: 'upgrade' } as const;
  await t.rejects(runLifecycle.call(running.kernel.lifecycle, upgrade), { code: 'invalid_argument' });
  const done = await running.kernel.lifecycle.runLifecycle({ ...upgrade, previousVersion: '0.9.1' });
  t.same(done, { kind: 'done' });
  const { say } = await openSession(client, running.home);
  await say('go');
  await waitForLog(client, 'grows', /^\0\{"prev_version":"0\.9\.1"\}$/);
});

test('a hook, one that is not exported or fails or traps, is told as that and the running capsule goes on', async (t) => {
  const heard = '(call $say (call $block (i32.const 32) (i32.const 5))) (i32.const 0)';
  const running = await startKernel([
    { name: 'plain', more: COPY, body: heard },
    { name: 'fails', more: COPY, body: heard, exports: { astrid_install: '(i32.const 7)' } },
    { name: 'traps', more: COPY, body: heard, exports: { astrid_install: '(unreachable)' } },
  ]);
  t.teardown(running.end);
  const client = await running.connect();
  t.teardown(() => client.close());
  const run = (name: string) => running.kernel.lifecycle.runLifecycle(install(name));
  t.same(await run('plain'), { kind: 'absent' });
  t.match(await run('fails'), { kind: 'failed', fault: { code: 'crashed', message: /returned 7/ } });
  t.match(await run('traps'), { kind: 'failed', fault: { code: 'crashed' } });
  t.match(await run('nobody'), { kind: 'failed', fault: { code: 'not_found' } });
  const both = await Promise.allSettled([run('plain'), run('plain')]);
  t.match(both[1], { status: 'rejected', reason: { code: 'conflict' } });
  const { say } = await openSession(client, running.home);
  await say('go');
  for (const name of ['plain', 'fails', 'traps']) await waitForLog(client, name, /heard/);
  t.match(
    ((await client.request('ps', {})) as { state: string; restarts: number }[]).map(({ restarts }) => restarts),
    [0, 0, 0],
  );
});

test('a hook, publishes within its manifest only and keeps the running instance on the bus', async (t) => {
  const manifest = `${HEARS_PROMPTS}\n[publish]\n"grown.v1.up" = { wit = "opaque" }\n`;
  const publish = (address: number, topic: string) =>
    `(call $say (call $copy (call $astrid_ipc_publish ${at(address, topic)} ${at(300, '{}')})))`;
  const running = await startKernel([
    {
      name: 'speaks',
      manifest,
      calls: { astrid_ipc_publish: TWO },
      data: { 100: 'grown.v1.up', 200: 'other.v1.topic', 300: '{}' },
      more: COPY,
      exports: { astrid_install: `${publish(100, 'grown.v1.up')} ${publish(200, 'other.v1.topic')} (i32.const 0)` },
      body: `${publish(100, 'grown.v1.up')} (call $say (call $block (i32.const 32) (i32.const 5))) (i32.const 0)`,
    },
  ]);
  t.teardown(running.end);
  const client = await running.connect();
  t.teardown(() => client.close());
  t.same(await running.kernel.lifecycle.runLifecycle(install('speaks')), { kind: 'done' });
  await waitForLog(client, 'speaks', /capability_missing/);
  const { say } = await openSession(client, running.home);
  await say('go');
  await waitForLog(client, 'speaks', /heard/);
});
