import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { type Test, test } from 'tap';
import type { EnvRow } from '../../abi/manifest.js';
import { EnvFile } from '../../supervisor/lifecycle/env-file.js';
import { EnvService } from '../../supervisor/lifecycle/env-service.js';
import { FileSecretStore } from '../../supervisor/secrets/file-store.js';
import { KvStore } from '../../supervisor/storage/kv.js';
import { openStore } from '../../supervisor/storage/store.js';

const row = (name: string, more: Partial<EnvRow> = {}): EnvRow => ({
  name,
  type: 'string',
  request: null,
  description: null,
  default: null,
  enumValues: [],
  placeholder: null,
  ...more,
});

const MANIFEST = {
  name: 'mail',
  env: [
    row('host', { request: 'Which host?', placeholder: 'mail.example' }),
    row('port', { default: '25' }),
    row('mode', { enumValues: ['plain', 'tls'], default: 'tls' }),
    row('only', { enumValues: ['one'] }),
    row('boxes', { type: 'array', default: ['in', 'out'] }),
    row('token', { type: 'secret', default: 'never' }),
  ],
};

async function bench(t: Test) {
  const home = mkdtempSync(join(tmpdir(), 'astrid-'));
  const dir = join(home, 'home/default/.config/env');
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  for (const name of ['keys', 'var']) mkdirSync(join(home, name), { mode: 0o700 });
  const store = await openStore(join(home, 'var/state'));
  t.teardown(async () => {
    await store.close();
    rmSync(home, { recursive: true });
  });
  const kv = new KvStore(store);
  const secrets = new FileSecretStore(home, join(home, 'keys/secrets.key'));
  const published: { topic: string; payload: unknown }[] = [];
  const log: string[] = [];
  const env = new EnvService({
    file: new EnvFile(home),
    kv,
    secrets,
    publish: (topic, payload) => void published.push({ topic, payload }),
    log: (_capsule, message) => void log.push(message),
  });
  const path = join(dir, 'mail.env.json');
  const write = (value: unknown) => writeFileSync(path, JSON.stringify(value), { mode: 0o600 });
  return { env, kv, secrets, published, log, path, write, load: () => env.load('default', MANIFEST) };
}

test('settings, nothing set, are defaults or empty, and what is missing is announced once', async (t) => {
  const b = await bench(t);
  t.same(await b.load(), { host: '', port: '25', mode: '', only: '', boxes: '["in","out"]', token: '' });
  t.same(b.published, [
    {
      topic: 'astrid.v1.onboarding.required',
      payload: {
        type: 'onboarding_required',
        capsule_id: 'mail',
        fields: [
          { key: 'host', prompt: 'Which host?', field_type: 'Text', placeholder: 'mail.example' },
          { key: 'mode', prompt: 'mode', field_type: { Enum: ['plain', 'tls'] }, default: 'tls' },
          { key: 'only', prompt: 'only', field_type: 'Text', default: 'one' },
          { key: 'token', prompt: 'token', field_type: 'Secret' },
        ],
      },
    },
  ]);
});

test('settings, a file, is copied into the keys of the capsule and counts; a choice outside of the list does not', async (t) => {
  const b = await bench(t);
  b.write({ host: 'a.example', mode: 'plain', only: 'x', unknown: 'y' });
  t.match(await b.load(), { host: 'a.example', mode: 'plain', only: 'x' });
  t.equal(b.kv.get('default', 'mail', 'host')?.toString(), 'a.example');
  t.equal(b.kv.get('default', 'mail', 'unknown'), null);
  b.write({ mode: 'none' });
  t.match(await b.load(), { host: 'a.example', mode: '' }, 'what was copied stays');
});

test('settings, a secret, comes neither from the file nor from the store, and is not announced once it is set', async (t) => {
  const b = await bench(t);
  b.write({ host: 'h', mode: 'tls', only: 'one', token: 'canary' });
  t.equal((await b.load())['token'], '');
  t.equal(b.kv.get('default', 'mail', 'token'), null, 'not where the guest could read it');
  t.match(b.log, [/token is a secret.*ignored/]);
  t.notMatch(b.log.join(), /canary/);
  t.equal(b.published.length, 1);
  await b.env.changeSecret('default', MANIFEST, 'token', 'v');
  t.equal((await b.load())['token'], '');
  t.equal(b.published.length, 1);
  t.match((await b.env.rows('default', MANIFEST)).at(-1), { name: 'token', value: null, source: 'value' });
});

test('settings, changed by the operator, are all checked before any is written', async (t) => {
  const b = await bench(t);
  const change = (set: Record<string, string>, unset: string[] = []) =>
    b.env.change('default', MANIFEST, new Map(Object.entries(set)), unset);
  await change({ host: 'h', boxes: 'a, b', mode: 'tls' });
  t.equal(statSync(b.path).mode & 0o777, 0o600);
  t.match(await b.load(), { host: 'h', boxes: '["a","b"]', mode: 'tls' });
  await change({ boxes: '["c"]' }, ['host']);
  t.match(await b.load(), { host: '', boxes: '["c"]' });
  const before = readFileSync(b.path, 'utf8');
  await t.rejects(change({ host: 'x', mode: 'none' }), { code: 'invalid_argument', field: 'mode' });
  await t.rejects(change({ host: 'x', hots: 'y' }), { code: 'not_found', field: 'hots', message: /it has host, port/ });
  await t.rejects(change({ host: 'x' }, ['token']), { code: 'invalid_argument', field: 'token' });
  await t.rejects(change({ token: 'canary' }), {
    code: 'invalid_argument',
    message: /^token: is a secret; [^c]*capsule secret/,
  });
  await t.rejects(change({ boxes: '[1]' }), { code: 'invalid_argument', field: 'boxes' });
  await t.rejects(change({ host: 'x'.repeat(70_000) }), { code: 'too_large', field: 'host' });
  t.equal(readFileSync(b.path, 'utf8'), before);
  await b.env.removeAll('default', 'mail');
  t.equal(readFileSync(b.path, 'utf8'), '{}\n');
});

test('settings, a file that others can read, is a link, no JSON or not flat, is refused and names what is wrong', async (t) => {
  const b = await bench(t);
  b.write({ host: 'h' });
  chmodSync(b.path, 0o644);
  await t.rejects(b.load(), { code: 'bad_home', message: /mail.env.json.*chmod 600/ });
  chmodSync(b.path, 0o600);
  b.write({ host: { a: 1 } });
  await t.rejects(b.load(), { code: 'bad_config', field: 'host' });
  b.write(['canary']);
  await t.rejects(b.load(), { code: 'bad_config' });
  writeFileSync(b.path, '{"host": canary');
  await t.rejects(b.load(), { code: 'bad_config', message: /^mail.env.json: expected JSON$/ });
  rmSync(b.path);
  symlinkSync('/etc/passwd', b.path);
  await t.rejects(b.load(), { code: 'escapes_root' });
});

test('settings of a capsule that is removed while it loads, leave no copy among its keys', async (t) => {
  const { secrets } = await bench(t);
  let file = new Map([['host', 'https://key@host']]);
  const keys = new Map<string, string>();
  const turns = async () => {
    for (let turn = 0; turn < 10; turn++) await nextTurn();
  };
  const env = new EnvService({
    file: {
      read: async () => file,
      write: async (_principal: string, _capsule: string, values: Map<string, string>) => {
        file = values;
      },
    } as unknown as EnvFile,
    kv: {
      get: () => null,
      set: async (_principal, _capsule, key, value) => {
        await turns();
        keys.set(key, String(value));
      },
      delete: async (_principal, _capsule, key) => keys.delete(key),
    },
    secrets,
    publish: () => undefined,
    log: () => undefined,
  });
  await Promise.all([env.load('default', MANIFEST), env.removeAll('default', 'mail')]);
  t.same([[...file], [...keys]], [[], []]);
});
