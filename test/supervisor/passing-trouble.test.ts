import { existsSync, readdirSync, readFileSync, unlinkSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Test, test } from 'tap';
import { asFault } from '../../abi/errno.js';
import { clearStaleSocket } from '../../supervisor/instance-lock.js';
import { LogBook } from '../../supervisor/log-book.js';
import { preparePrivateDirectory } from '../../supervisor/private-files/directory.js';
import { useUpDescriptors } from '../kit/short-of.js';

/** Short enough for a socket, which a test's own directory is not. */
async function makeDirectory(t: Test): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'astrid-'));
  t.teardown(() => rm(directory, { recursive: true, force: true }));
  return directory;
}

const codeOf = (work: Promise<unknown>) =>
  work.then(
    () => 'ok',
    (error: unknown) => (error instanceof Error && 'code' in error ? String(error.code) : asFault(error).code),
  );

test('a log file of a capsule that cannot be made, is tried again ten seconds later and not at each line', async (t) => {
  const logs = join(await makeDirectory(t), 'logs');
  writeFileSync(logs, 'in the way');
  let now = Date.UTC(2026, 0, 2, 3, 4, 5);
  const book = new LogBook(logs, () => now);
  book.write('fs', 'info', 'first');
  unlinkSync(logs);
  now += 9_999;
  book.write('fs', 'info', 'second');
  t.equal(existsSync(logs), false);
  now += 1;
  book.write('fs', 'info', 'third');
  await book.close();
  t.same(readdirSync(join(logs, 'fs')), ['2026-01-02.log']);
  t.match(readFileSync(join(logs, 'fs/2026-01-02.log'), 'utf8'), /^\d+\.\d+ INFO \[fs\] third\n$/);
  t.same(
    book.tail('fs', 10).map(({ message }) => message),
    ['first', 'second', 'third'],
    'in memory they all are',
  );
});

test('a directory that cannot be looked at for want of a descriptor, is not told as one of somebody else', async (t) => {
  const directory = await makeDirectory(t);
  const giveBack = await useUpDescriptors();
  const code = await codeOf(preparePrivateDirectory(directory));
  await giveBack();
  t.equal(code, 'io_error', 'after bad_home nobody would try again');
  t.equal(await codeOf(preparePrivateDirectory(directory)), 'ok');
});

test('a socket that cannot be asked for want of a descriptor, is not taken for a stale one', async (t) => {
  const path = join(await makeDirectory(t), 'live.sock');
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(path, resolve));
  t.teardown(() => new Promise((resolve) => server.close(resolve)));
  const giveBack = await useUpDescriptors();
  const code = await codeOf(clearStaleSocket(path));
  await giveBack();
  t.equal(code, 'EMFILE');
  t.ok(existsSync(path), 'it is left alone');
  t.equal(await codeOf(clearStaleSocket(path)), 'already_running');
});
