import { existsSync, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'tap';
import { replacePrivateFile } from '../../supervisor/private-files/replace.js';

const modeOf = (path: string) => statSync(path).mode & 0o777;

test('a private file is replaced as a whole, for nobody else to read, and leaves no draft', async (t) => {
  const path = join(t.testdir(), 'token');
  await replacePrivateFile(path, 'one');
  await replacePrivateFile(path, 'two');
  t.equal(readFileSync(path, 'utf8'), 'two');
  t.equal(modeOf(path), 0o600);
  t.notOk(existsSync(`${path}.new`));
});

test('a draft that a crash left, open to all or a link, is not written to', async (t) => {
  const directory = t.testdir({ elsewhere: 'kept' });
  const path = join(directory, 'token');
  writeFileSync(`${path}.new`, 'half', { mode: 0o666 });
  await replacePrivateFile(path, 'one');
  t.equal(modeOf(path), 0o600);
  symlinkSync(join(directory, 'elsewhere'), `${path}.new`);
  await replacePrivateFile(path, 'two');
  t.equal(readFileSync(path, 'utf8'), 'two');
  t.equal(readFileSync(join(directory, 'elsewhere'), 'utf8'), 'kept');
});

test('what cannot be written leaves the old text and no draft', async (t) => {
  const path = join(t.testdir(), 'token');
  mkdirSync(path);
  await t.rejects(replacePrivateFile(path, 'one'), { code: 'EISDIR' });
  t.ok(statSync(path).isDirectory());
  t.notOk(existsSync(`${path}.new`));
});
