import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'tap';
import { LIMITS } from '../../abi/limits.js';
import { sealSecrets } from '../../supervisor/secrets/secret-codec.js';
import { MAIL, OTHER, openSecretBench } from './store-kit.js';

test('secret store, what was set, is there after a restart, private on disk, and its key is made at first use', async (t) => {
  const { store, again, fileOf, key, home } = openSecretBench(t);
  t.equal(await store.has(MAIL, 'token'), false);
  t.same(readdirSync(join(home, 'keys')), [], 'asking makes no key');
  await store.set(MAIL, 'token', Buffer.from('v1'));
  await store.set(MAIL, 'token', Buffer.from('v2'));
  await store.set(MAIL, 'weird ☃/../key', Buffer.from([0, 1, 255]));
  t.equal((await again().read(MAIL, 'token'))?.toString(), 'v2');
  t.same(await again().read(MAIL, 'weird ☃/../key'), Buffer.from([0, 1, 255]));
  for (const path of [fileOf('mail'), key]) t.equal(statSync(path).mode & 0o777, 0o600);
  t.equal(statSync(join(home, 'var/secrets/default')).mode & 0o777, 0o700);
  t.same(readdirSync(join(home, 'var/secrets/default')), ['mail.secrets'], 'no draft is left');
});

test('secret store, removed or of another capsule or principal, is not there', async (t) => {
  const { store, again } = openSecretBench(t);
  await store.set(MAIL, 'a', Buffer.from('1'));
  await store.set(MAIL, 'b', Buffer.from('2'));
  t.equal(await store.has(OTHER, 'a'), false);
  t.equal(await store.has({ ...MAIL, principal: 'else' }, 'a'), false);
  t.equal(await store.remove(MAIL, 'a'), true);
  t.equal(await store.remove(MAIL, 'a'), false);
  t.same([await again().has(MAIL, 'a'), await again().has(MAIL, 'b')], [false, true]);
  await store.removeAll(MAIL);
  await store.removeAll(OTHER);
  t.equal(await again().has(MAIL, 'b'), false);
});

test('secret store, many writers at once, lose nothing', async (t) => {
  const { store, again } = openSecretBench(t);
  const keys = Array.from({ length: 40 }, (_, index) => `k${index}`);
  await Promise.all(keys.map((key) => store.set(MAIL, key, Buffer.from(key))));
  for (const key of keys) t.equal((await again().read(MAIL, key))?.toString(), key);
});

test('secret store, a full one, takes changes and refuses one more; the largest that is allowed fits its file', async (t) => {
  const { store, again } = openSecretBench(t);
  const value = Buffer.alloc(LIMITS.secretBytesMax, 7);
  for (let index = 0; index < LIMITS.secretsPerCapsuleMax; index++)
    await store.set(MAIL, `k${index}`, Buffer.from('v'));
  await t.rejects(store.set(MAIL, 'one-more', value), { code: 'quota_exceeded' });
  await store.set(MAIL, 'k0', value);
  t.same(await again().read(MAIL, 'k0'), value);
  const all = Array.from(
    { length: LIMITS.secretsPerCapsuleMax },
    (_, index) => [`${index}`.padEnd(4096), value] as const,
  );
  t.ok(sealSecrets(Buffer.alloc(32), MAIL, new Map(all)).length <= LIMITS.secretFileBytesMax);
});

test('secret store, a bad key or value, is refused and the error does not hold the value', async (t) => {
  const { store } = openSecretBench(t);
  for (const key of ['', 'a:b', 'a\nb', 'x'.repeat(LIMITS.keyBytesMax + 1)]) {
    t.throws(() => store.set(MAIL, key, Buffer.from('v')), { code: 'invalid_argument', field: 'key' });
    await t.rejects(store.has(MAIL, key), { code: 'invalid_argument', field: 'key' });
  }
  t.throws(() => store.set(MAIL, 'k', Buffer.alloc(0)), { code: 'invalid_argument', field: 'value' });
  const large = Buffer.alloc(LIMITS.secretBytesMax + 1, 'canary');
  t.throws(() => store.set(MAIL, 'k', large), {
    code: 'too_large',
    message: /^value: a secret has at most \d+ bytes$/,
  });
});
