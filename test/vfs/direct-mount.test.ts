import { lstatSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'tap';
import { ENTRY_BYTES, measureTreeBytes, StorageQuota } from '../../supervisor/vfs/quota.js';
import { openSessionFiles } from '../../supervisor/vfs/session-files.js';
import { codeOf, Guest, makePlace, openSession } from './session-fixture.js';

test('home and tmp, written by a guest, change on disk at once', async (t) => {
  const { guest, options } = await openSession(t);
  await guest.mkdir('home://a/b');
  await guest.write('home://a/b/f', 'one');
  await guest.write('/tmp/x', 'two');
  t.equal(readFileSync(join(options.homeDir, 'a/b/f'), 'utf8'), 'one');
  t.equal(readFileSync(join(options.tmpDir, 'x'), 'utf8'), 'two');
  t.equal(await guest.read('home://.local/tmp/x'), 'two', 'tmp lies inside the home');
  t.equal(await codeOf(guest.write('home://none/f', 'x')), 'not_found', 'parents are not made by a write');
  t.equal(await codeOf(guest.write('tmp://none/f', 'x')), 'not_found');
  t.equal(await codeOf(guest.unlink('home://a')), 'not_empty');
  t.equal(await codeOf(guest.unlink('home://')), 'invalid_argument');
  t.equal(await codeOf(guest.mkdir('/tmp')), 'invalid_argument');
  t.equal(await codeOf(guest.mkdir('home://a/b/f')), 'already_exists');
  t.equal(await codeOf(guest.mkdir('home://a/b')), 'ok');
  t.equal(await codeOf(guest.write('home://a', 'x')), 'is_a_directory');
  t.equal(await codeOf(guest.write('home://a/b/f/g', 'x')), 'not_a_directory');
  for (const path of ['home://a/b/f', 'home://a/b', 'home://a', '/tmp/x']) await guest.unlink(path);
  t.same(await guest.readdir('home://'), ['.local']);
  t.equal(lstatSync(options.homeDir).mode & 0o777, 0o700);
});

test('a file of the home, rewritten, keeps its mode, and a new one is as private as the directory', async (t) => {
  const { guest, options } = await openSession(t);
  const path = join(options.homeDir, 'run.sh');
  writeFileSync(path, 'old', { mode: 0o711 });
  await guest.write('home://run.sh', 'new');
  await guest.write('home://fresh', 'x');
  t.equal(lstatSync(path).mode & 0o777, 0o711);
  t.equal(lstatSync(join(options.homeDir, 'fresh')).mode & 0o777, 0o600);
});

test('a write that a killed supervisor left half done is not seen, and is gone after the next one', async (t) => {
  const { guest, options } = await openSession(t);
  await guest.mkdir('home://d');
  writeFileSync(join(options.homeDir, 'd/.astrid-tmp-0'), 'half');
  t.same(await guest.readdir('home://d'), []);
  t.equal(await codeOf(guest.write('home://d/.astrid-tmp-7', 'x')), 'invalid_argument', 'the names are reserved');
  await guest.write('home://d/f', 'x');
  t.same(readdirSync(join(options.homeDir, 'd')), ['f']);
  await guest.unlink('home://d/f');
  writeFileSync(join(options.homeDir, 'd/.astrid-tmp-3'), 'half');
  await guest.unlink('home://d');
  t.equal(await guest.exists('home://d'), false, 'it does not keep its directory from being removed');
});

test('a file that is replaced again and again is, for whoever looks at the disk, always there and whole', async (t) => {
  const { guest, options } = await openSession(t);
  const versions = ['a', 'b', 'c'].map((letter) => letter.repeat(200_000));
  await guest.write('home://f', versions[0] ?? '');
  const writing = (async () => {
    for (let at = 0; at < 60; at++) await guest.write('home://f', versions[at % 3] ?? '');
    return 'done';
  })();
  const seen = new Set<string>();
  for (let state = ''; state !== 'done'; state = await Promise.race([writing, Promise.resolve('')])) {
    seen.add(await readFile(join(options.homeDir, 'f'), 'utf8'));
  }
  for (const content of seen) t.ok(versions.includes(content), 'a whole version');
});

test('the quota, whatever a guest writes and removes, counts what is stored', async (t) => {
  const quota = new StorageQuota(200_000);
  const { guest, options } = await openSession(t, {}, quota);
  const start = await measureTreeBytes(options.homeDir);
  const stored = async () => (await measureTreeBytes(options.homeDir)) - start;
  await guest.write('home://a', Buffer.alloc(50_000));
  await guest.write('home://a', Buffer.alloc(70_000));
  await guest.write('home://a', Buffer.alloc(10));
  await guest.mkdir('home://d/e');
  await guest.write('home://d/e/f', Buffer.alloc(5_000));
  await guest.write('tmp://t', Buffer.alloc(5_000));
  t.equal(quota.usedBytes, await stored());
  t.equal(await codeOf(guest.write('home://big', Buffer.alloc(190_000))), 'quota_exceeded');
  t.equal(await codeOf(guest.write('home://none/x', 'x')), 'not_found');
  t.equal(await codeOf(guest.unlink('home://d')), 'not_empty');
  t.equal(quota.usedBytes, await stored(), 'what failed took nothing');
  for (const path of ['home://a', 'home://d/e/f', 'home://d/e', 'home://d', 'tmp://t']) await guest.unlink(path);
  t.equal(quota.usedBytes, 0);
  let made = 0;
  while ((await codeOf(guest.write(`home://n${made}`, ''))) === 'ok') made += 1;
  t.equal(made, Math.floor(200_000 / ENTRY_BYTES), 'empty files count, too');
});

test('two sessions that replace one file at the same time cannot cheat the quota', async (t) => {
  const quota = new StorageQuota(10_000_000);
  const place = makePlace(t, {}, quota);
  const one = await openSessionFiles(place.options);
  const two = await openSessionFiles({ ...place.options, stateDir: `${place.options.stateDir}2` });
  const start = await measureTreeBytes(place.options.homeDir);
  const guests = [new Guest(one), new Guest(two)];
  const writes: Promise<void>[] = [];
  for (let at = 0; at < 20; at++) {
    for (const guest of guests) {
      writes.push(guest.write('home://.local/tmp/f', Buffer.alloc(1000 + at)));
      writes.push(guest.write('tmp://f', Buffer.alloc(2000 - at)));
    }
  }
  await Promise.all(writes);
  t.equal(quota.usedBytes, (await measureTreeBytes(place.options.homeDir)) - start);
  await one.close();
  await two.close();
});

test('a session that is closed while calls run, lets them finish and refuses the next', async (t) => {
  const { guest, files } = await openSession(t, { f: 'x' });
  const running = Array.from({ length: 40 }, (_, at) => codeOf(at % 2 === 0 ? guest.read('f') : guest.write('f', 'y')));
  await files.close();
  const codes = new Set(await Promise.all(running));
  t.ok(codes.has('ok') || codes.has('cancelled'));
  for (const code of codes) t.ok(code === 'ok' || code === 'cancelled', code);
  t.equal(await codeOf(guest.read('home://x')), 'cancelled');
});

test('a guard of the home sees where a link leads', async (t) => {
  const { files, options } = await openSession(t);
  writeFileSync(join(options.homeDir, 'key'), 'K');
  symlinkSync('key', join(options.homeDir, 'link'));
  const home = files.mount({ scheme: 'home', segments: [], display: 'home://' });
  const told: string[] = [];
  await home.readFile(['link'], (resolved) => told.push(resolved.display));
  t.same(told, ['home://key']);
  t.equal((await home.realPath(['link'])).display, 'home://key');
});
