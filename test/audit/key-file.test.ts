import { chmodSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'tap';
import { formatNoteKey, parseNoteKey } from '../../abi/audit/note.js';
import { openLogKey } from '../../supervisor/auditor/key-file.js';
import { ORIGIN, pathsBelow } from './log-fixture.js';

test('a first start makes a key that only its owner reads, pins its public half, and later starts use both', async (t) => {
  const paths = pathsBelow(t.testdir());
  const first = await openLogKey(paths, true);
  t.equal(statSync(paths.keyPath).mode & 0o777, 0o600);
  t.equal(statSync(paths.keyPath).size, 32);
  t.equal(readFileSync(paths.pubPath, 'utf8'), `${formatNoteKey(first.key)}\n`);
  t.equal(parseNoteKey(readFileSync(paths.pubPath, 'utf8')).name, ORIGIN);
  const again = await openLogKey(paths, false);
  t.strictSame(again.key, first.key);
  t.strictSame(readdirSync(dirname(paths.keyPath)).sort(), ['audit.key', 'audit.pub'], 'no drafts left');
});

for (const mode of [0o640, 0o604, 0o660, 0o777]) {
  test(`a key with mode ${mode.toString(8)} is refused`, async (t) => {
    const paths = pathsBelow(t.testdir());
    await openLogKey(paths, true);
    chmodSync(paths.keyPath, mode);
    await t.rejects(openLogKey(paths, false), { code: 'bad_home', field: 'key' });
  });
}

test('a key that is a link, a directory, short or long is refused', async (t) => {
  const paths = pathsBelow(t.testdir());
  await openLogKey(paths, true);
  const bytes = readFileSync(paths.keyPath);
  for (const wrong of [bytes.subarray(1), Buffer.concat([bytes, bytes]), Buffer.alloc(0)]) {
    writeFileSync(paths.keyPath, wrong);
    await t.rejects(openLogKey(paths, false), { code: 'bad_home', field: 'key' });
  }
  const elsewhere = join(dirname(paths.keyPath), 'other');
  writeFileSync(elsewhere, bytes, { mode: 0o600 });
  rmSync(paths.keyPath);
  symlinkSync(elsewhere, paths.keyPath);
  await t.rejects(openLogKey(paths, false), { code: 'bad_home', field: 'key' });
  rmSync(paths.keyPath);
  mkdirSync(paths.keyPath, { mode: 0o700 });
  await t.rejects(openLogKey(paths, false), { code: 'bad_home', field: 'key' });
});

test('for a log with entries a missing key or pin is refused and nothing new is made', async (t) => {
  const paths = pathsBelow(t.testdir());
  await t.rejects(openLogKey(paths, false), { code: 'bad_home', field: 'key' });
  await openLogKey(paths, true);
  rmSync(paths.pubPath);
  await t.rejects(openLogKey(paths, false), { code: 'bad_home', field: 'pub' });
  t.strictSame(readdirSync(dirname(paths.keyPath)), ['audit.key']);
});

test('a key other than the pinned one, another origin, or a broken pin is refused', async (t) => {
  const paths = pathsBelow(t.testdir());
  await openLogKey(paths, true);
  await t.rejects(openLogKey({ ...paths, origin: 'astrid.local/other' }, false), { code: 'bad_home', field: 'pub' });
  const key = readFileSync(paths.keyPath);
  writeFileSync(paths.keyPath, Buffer.alloc(32, 9));
  await t.rejects(openLogKey(paths, true), { code: 'bad_home', field: 'pub' });
  writeFileSync(paths.keyPath, key);
  writeFileSync(paths.pubPath, 'nonsense');
  await t.rejects(openLogKey(paths, false), { code: 'bad_home', field: 'pub' });
});
