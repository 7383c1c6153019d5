import { spawnSync } from 'node:child_process';
import { cpSync, symlinkSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'tap';
import { LIMITS } from '../../abi/limits.js';
import { diffOverlay } from '../../supervisor/vfs/diff.js';
import { parseGuestPath } from '../../supervisor/vfs/path.js';
import { previewWrite } from '../../supervisor/vfs/preview.js';
import { decodeText, unifiedDiff } from '../../supervisor/vfs/text-diff.js';
import { codeOf, diskTree, openSession, type Session } from './session-fixture.js';

function linesOf(count: number, prefix: string): string {
  return Array.from({ length: count }, (_, at) => `${prefix}${at}\n`).join('');
}

test('a diff lists additions, changes, deletions and directories, sorted by path', async (t) => {
  const { guest, files } = await openSession(t, {
    'a.txt': 'one\ntwo\n',
    'd/x': 'x\n',
    'd/y': 'y\n',
    b: 'same\n',
    z: 'z\n',
  });
  await guest.write('a.txt', 'one\n2\n');
  await guest.write('new/f', 'fresh');
  await guest.write('b', 'same\n');
  await guest.unlink('z');
  for (const path of ['d/x', 'd/y', 'd']) await guest.unlink(path);
  const rows = await diffOverlay(files.overlay);
  t.same(
    rows.map(({ path, kind, bytes }) => [path, kind, bytes]),
    [
      ['a.txt', 'modified', 6],
      ['d', 'deleted', 0],
      ['d/x', 'deleted', 2],
      ['d/y', 'deleted', 2],
      ['new', 'directory', 0],
      ['new/f', 'added', 5],
      ['z', 'deleted', 2],
    ],
  );
  t.equal(rows[0]?.unified, '--- a/a.txt\n+++ b/a.txt\n@@ -1,2 +1,2 @@\n one\n-two\n+2\n');
  t.equal(rows[5]?.unified, '--- /dev/null\n+++ b/new/f\n@@ -0,0 +1,1 @@\n+fresh\n\\ No newline at end of file\n');
  t.equal(rows[6]?.unified, '--- a/z\n+++ /dev/null\n@@ -1,1 +0,0 @@\n-z\n');
  t.same(
    (await diffOverlay(files.overlay, ['new', 'z'])).map(({ path }) => path),
    ['new', 'new/f', 'z'],
  );
  t.equal(await codeOf(diffOverlay(files.overlay, ['tmp://x'])), 'invalid_argument');
});

test('binary, large and special files have a row and no text', async (t) => {
  const { guest, files, workspace } = await openSession(t, { bin: 'x', big: 'x', sparse: '', link: '-> bin' });
  truncateSync(join(workspace, 'sparse'), 10 * 1024 ** 3);
  await guest.write('bin', Buffer.from([0xff, 0xfe, 0]));
  await guest.write('big', 'x'.repeat(1024 * 1024 + 1));
  await guest.unlink('sparse');
  await guest.unlink('link');
  await guest.write('link', 'now a file');
  t.same(
    (await diffOverlay(files.overlay)).map(({ path, kind, unified }) => [path, kind, unified]),
    [
      ['big', 'modified', null],
      ['bin', 'modified', null],
      ['link', 'modified', null],
      ['sparse', 'deleted', null],
    ],
  );
});

test('the diffs of a session, put together and given to patch, make the workspace what the session sees', async (t) => {
  const tree = { 'd/f': linesOf(60, 'l'), gone: 'x\n', nonl: 'a', 'd/all': linesOf(600, 'l') };
  const long = { 'd/long': linesOf(30_000, 'l'), 'd/end': linesOf(30_000, 'l'), 'd/none': linesOf(30_000, 'l') };
  const { guest, files, workspace, dir } = await openSession(t, { ...tree, ...long });
  await guest.write('d/f', linesOf(60, 'l').replace('l3\n', 'three\n').replace('l50\n', ''));
  await guest.unlink('gone');
  await guest.write('nonl', 'a\nb');
  await guest.write('d/long', linesOf(30_000, 'l').replace('l15000\n', 'changed\nand more\n'));
  await guest.write('d/end', linesOf(30_000, 'l').slice(0, -1));
  await guest.write('d/none', '');
  await guest.write('d/all', linesOf(600, 'other '));
  await guest.write('odd "name"\twith\nnewline', 'text\n');
  const seen = await guest.tree();
  const rows = await diffOverlay(files.overlay);
  t.ok(
    (rows.find(({ path }) => path === 'd/long')?.unified ?? '').split('\n').length < 15,
    'a long file shows its edit only',
  );
  const copy = join(dir, 'copy');
  cpSync(workspace, copy, { recursive: true });
  const input = rows.map(({ unified }) => unified ?? '').join('');
  const patched = spawnSync('git', ['apply', '--unidiff-zero', '-p1', '-'], {
    cwd: copy,
    input,
    env: { PATH: process.env['PATH'] },
  });
  if (patched.error !== undefined) return t.pass('skipped: no git here');
  t.equal(String(patched.stderr), '');
  t.same(diskTree(copy), seen);
});

test('two large unrelated texts are diffed in bounded work, and the result is still a diff', (t) => {
  const before = linesOf(20_000, 'before ');
  const after = linesOf(20_000, 'after ');
  const patch = unifiedDiff('f', before, after);
  t.ok(patch.startsWith('--- a/f\n+++ b/f\n@@ -1,20000 +1,20000 @@\n-before 0\n'));
  t.equal(patch.split('\n').length, 40_004);
  t.match(unifiedDiff('f', before, 'one'), /\n\+one\n\\ No newline at end of file\n$/);
  t.equal(decodeText(Buffer.from([0xc3, 0x28])), null, 'not UTF-8');
  t.end();
});

async function preview({ files }: Session, text: string, content: string | Uint8Array): Promise<string[]> {
  const path = parseGuestPath(text);
  return previewWrite(files.mount(path), path, Buffer.from(content));
}

test('a preview says what a write would do, before it is done', async (t) => {
  const session = await openSession(t, { 'a.txt': 'one\ntwo\n', 'dir/x': '' });
  const { workspace, guest } = session;
  symlinkSync('a.txt', join(workspace, 'link'));
  t.same(await preview(session, 'new/f', 'hello\n'), ['new file cwd://new/f, 6 bytes', '@@ -0,0 +1,1 @@', '+hello']);
  t.same(await preview(session, 'a.txt', 'one\n2\n'), [
    'replaces cwd://a.txt: 8 bytes become 6 bytes',
    '@@ -1,2 +1,2 @@',
    ' one',
    '-two',
    '+2',
  ]);
  t.equal((await preview(session, 'link', 'x'))[0], 'cwd://link is a link to cwd://a.txt', 'the real target is named');
  t.same(await preview(session, 'a.txt', 'one\ntwo\n'), [
    'replaces cwd://a.txt: 8 bytes become 8 bytes',
    'the content stays the same',
  ]);
  t.same(await preview(session, 'dir', 'x'), ['cwd://dir is a directory; the write would fail']);
  t.same((await preview(session, 'bin', Buffer.from([0, 1, 2])))[1], 'binary content');
  t.same((await preview(session, 'big', '\n'.repeat(300_000)))[1], 'the new content is too large to show');
  await guest.write('home://h', 'x');
  t.same(await preview(session, 'home://h', 'y'), [
    'replaces home://h: 1 byte become 1 byte',
    '@@ -1,1 +1,1 @@',
    '-x',
    '\\ No newline at end of file',
    '+y',
    '\\ No newline at end of file',
  ]);
});

test('a preview of hostile content is short, and moves no cursor', async (t) => {
  const session = await openSession(t, { a: '' });
  const many = await preview(session, 'n', linesOf(10_000, 'line '));
  t.equal(many.length, 1 + LIMITS.previewLinesMax + 1);
  t.equal(many.at(-1), '… 9961 more lines');
  const wide = await preview(session, 'n', 'x'.repeat(100_000));
  t.ok(wide.every((line) => line.length < LIMITS.previewLineCharsMax + 60));
  const nasty = await preview(session, 'x\u202e\u001b]8;;evil', 'a\u001b[2K\rb\u202ec\u200bd\te\\n');
  t.match(nasty.join('\n'), /\+a\\u\{1b\}\[2K\\u\{d\}b\\u\{202e\}c\\u\{200b\}d {4}e\\n/);
  for (const line of nasty) t.notMatch(line, /[\p{Cc}\p{Cf}]/u);
});
