import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'tap';
import { MAIL, OTHER, openSecretBench } from '../secrets/store-kit.js';

test('attack, a secret file with one byte changed, is refused and not read as empty', async (t) => {
  const { store, fileOf, again } = openSecretBench(t);
  await store.set(MAIL, 'k', Buffer.from('v'));
  const bytes = readFileSync(fileOf('mail'));
  bytes[bytes.length - 20]! ^= 1;
  writeFileSync(fileOf('mail'), bytes);
  await t.rejects(again().has(MAIL, 'k'), { code: 'io_error' });
  await t.rejects(again().set(MAIL, 'k2', Buffer.from('v')), { code: 'io_error' }, 'and not written over');
  t.same(readFileSync(fileOf('mail')), bytes);
  await t.resolves(again().removeAll(MAIL), 'but it can be given up');
  t.equal(await again().has(MAIL, 'k'), false);
});

test("attack, another capsule's file put in the place of one's own, does not open", async (t) => {
  const { store, fileOf, again } = openSecretBench(t);
  await store.set(MAIL, 'k', Buffer.from('of mail'));
  await store.set(OTHER, 'k2', Buffer.from('of other'));
  copyFileSync(fileOf('mail'), fileOf('other'));
  await t.rejects(again().has(OTHER, 'k'), { code: 'io_error' });
});

test('attack, a key file that others can read, is another size, a link or a fifo, is refused', async (t) => {
  const { store, again, key, home } = openSecretBench(t);
  await store.set(MAIL, 'k', Buffer.from('v'));
  chmodSync(key, 0o640);
  await t.rejects(again().has(MAIL, 'k'), { code: 'bad_home', message: /keys\/secrets.key.*chmod 600/ });
  chmodSync(key, 0o600);
  const bytes = readFileSync(key);
  writeFileSync(key, bytes.subarray(1));
  await t.rejects(again().has(MAIL, 'k'), { code: 'bad_home', message: /32 bytes/ });
  rmSync(key);
  writeFileSync(join(home, 'elsewhere'), bytes, { mode: 0o600 });
  symlinkSync(join(home, 'elsewhere'), key);
  await t.rejects(again().has(MAIL, 'k'), { code: 'bad_home' });
  rmSync(key);
  renameSync(join(home, 'elsewhere'), key);
  t.equal(await again().has(MAIL, 'k'), true);
});

test('attack, a secret file that others can read, or a link on the way to it, is refused', async (t) => {
  const { store, again, fileOf, home } = openSecretBench(t);
  await store.set(MAIL, 'k', Buffer.from('v'));
  chmodSync(fileOf('mail'), 0o644);
  await t.rejects(again().has(MAIL, 'k'), { code: 'bad_home', message: /chmod 600/ });
  chmodSync(fileOf('mail'), 0o600);
  renameSync(join(home, 'var/secrets/default'), join(home, 'moved'));
  symlinkSync(join(home, 'moved'), join(home, 'var/secrets/default'));
  await t.rejects(again().has(MAIL, 'k'), { code: 'escapes_root' });
  rmSync(join(home, 'var/secrets/default'));
  mkdirSync(join(home, 'var/secrets/default'));
  symlinkSync(join(home, 'moved/mail.secrets'), fileOf('mail'));
  await t.rejects(again().read(MAIL, 'k'), { code: 'escapes_root' });
});

test('attack, names that would lead elsewhere, are refused before anything is opened', async (t) => {
  const { store } = openSecretBench(t);
  for (const capsule of ['../mail', 'a/b', '.', '', 'A', 'x\0y'])
    await t.rejects(store.has({ principal: 'default', capsule }, 'k'), { code: 'invalid_argument', field: 'capsule' });
  await t.rejects(store.has({ principal: '..', capsule: 'mail' }, 'k'), { code: 'invalid_argument' });
});
