import {
  chmodSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'tap';
import { commitOverlay } from '../../supervisor/vfs/commit.js';
import { diffOverlay } from '../../supervisor/vfs/diff.js';
import { rollbackOverlay } from '../../supervisor/vfs/rollback.js';
import { codeOf, diskTree, openSession, type Session } from './session-fixture.js';

async function changeEverything({ guest }: Session): Promise<void> {
  await guest.write('a.txt', 'changed');
  await guest.write('new/deep/f', 'new');
  await guest.unlink('d/b.txt');
  for (const path of ['gone/x', 'gone/y', 'gone']) await guest.unlink(path);
  await guest.unlink('was-dir/f');
  await guest.unlink('was-dir');
  await guest.write('was-dir', 'now a file');
  await guest.unlink('was-file');
  await guest.write('was-file/in', 'now a directory');
}

const TREE = {
  'a.txt': 'one',
  'd/b.txt': 'two',
  'd/keep': 'k',
  'gone/x': '1',
  'gone/y': '2',
  'was-dir/f': '3',
  'was-file': '4',
};

test('a commit makes the workspace what the session saw, and empties the overlay', async (t) => {
  const session = await openSession(t, TREE);
  const { files, guest, workspace, options } = session;
  await changeEverything(session);
  const seen = await guest.tree();
  const { committed, conflicts } = await commitOverlay(files.overlay);
  t.same(conflicts, []);
  t.same(committed, [
    'a.txt',
    'd/b.txt',
    'gone',
    'gone/x',
    'gone/y',
    'new',
    'new/deep',
    'new/deep/f',
    'was-dir',
    'was-dir/f',
    'was-file',
    'was-file/in',
  ]);
  t.same(diskTree(workspace), seen);
  t.same(await guest.tree(), seen, 'the session sees what it saw');
  t.same(readdirSync(join(options.stateDir, 'upper')), []);
  t.same(await diffOverlay(files.overlay), []);
  t.same(await commitOverlay(files.overlay), { committed: [], conflicts: [] }, 'there is nothing left to do');
});

test('a rollback makes the session see the workspace again, and leaves that as it was', async (t) => {
  const session = await openSession(t, TREE);
  const { files, guest, workspace, options } = session;
  const before = diskTree(workspace);
  await changeEverything(session);
  const { rolledBack } = await rollbackOverlay(files.overlay);
  t.equal(rolledBack.length, 12);
  t.same(diskTree(workspace), before);
  t.same(await guest.tree(), before);
  t.same(readdirSync(join(options.stateDir, 'upper')), []);
});

test('commit and rollback of some paths leave the other changes in the overlay', async (t) => {
  const session = await openSession(t, TREE);
  const { files, guest, workspace } = session;
  await changeEverything(session);
  t.same((await commitOverlay(files.overlay, ['new/deep/f', 'cwd://gone/x'])).committed, ['gone/x', 'new/deep/f']);
  t.same(Object.keys(diskTree(join(workspace, 'new'))), ['deep/', 'deep/f'], 'parents come along');
  t.same(readdirSync(join(workspace, 'gone')), ['y']);
  t.same((await rollbackOverlay(files.overlay, ['gone/y', 'a.txt'])).rolledBack, ['a.txt', 'gone/y']);
  t.equal(await guest.read('a.txt'), 'one');
  t.same(await guest.readdir('gone'), ['y'], 'one file of a deleted directory came back, and the directory with it');
  t.same(
    (await diffOverlay(files.overlay)).map(({ path }) => path),
    ['d/b.txt', 'was-dir', 'was-dir/f', 'was-file', 'was-file/in'],
  );
  t.equal(await codeOf(commitOverlay(files.overlay, ['home://x'])), 'invalid_argument');
  t.equal(await codeOf(commitOverlay(files.overlay, ['../x'])), 'escapes_root');
  t.same(await commitOverlay(files.overlay, ['no/such']), { committed: [], conflicts: [] });
});

test('a lower file that changed since the session first wrote it, in any way, is a conflict and stays', async (t) => {
  const names = ['edited', 'same-size', 'deleted', 'to-dir', 'to-link', 'replaced'];
  const session = await openSession(t, Object.fromEntries(names.map((name) => [name, 'base'])));
  const { files, guest, workspace } = session;
  for (const name of names) await guest.write(name, 'session');
  await guest.write('fresh', 'session');
  const at = (name: string) => join(workspace, name);
  writeFileSync(at('edited'), 'longer text');
  const { atime, mtime } = statSync(at('same-size'));
  writeFileSync(at('same-size'), 'BASE');
  utimesSync(at('same-size'), atime, mtime);
  rmSync(at('deleted'));
  rmSync(at('to-dir'));
  mkdirSync(at('to-dir'));
  rmSync(at('to-link'));
  symlinkSync('edited', at('to-link'));
  writeFileSync(at('other'), 'else');
  renameSync(at('other'), at('replaced'));
  writeFileSync(at('fresh'), 'the user was faster');
  const before = diskTree(workspace);
  const { committed, conflicts } = await commitOverlay(files.overlay);
  t.same(committed, []);
  t.same(conflicts, ['deleted', 'edited', 'fresh', 'replaced', 'same-size', 'to-dir', 'to-link']);
  t.same(diskTree(workspace), before);
  t.equal(await guest.read('edited'), 'session', 'the change is still in the overlay');
  t.same((await commitOverlay(files.overlay)).conflicts.length, 7, 'and stays a conflict');
  await rollbackOverlay(files.overlay, ['edited']);
  t.equal(await guest.read('edited'), 'longer text');
});

test('deletions of what changed since are conflicts, inside a deleted directory, too', async (t) => {
  const { files, guest, workspace } = await openSession(t, { f: '1', 'd/a': '1', 'd/b': '2', 'e/a': '1' });
  for (const path of ['f', 'd/a', 'd/b', 'd', 'e/a', 'e']) await guest.unlink(path);
  await guest.mkdir('e');
  writeFileSync(join(workspace, 'f'), 'edited');
  writeFileSync(join(workspace, 'd/b'), 'edited');
  writeFileSync(join(workspace, 'd/added'), 'by the user');
  writeFileSync(join(workspace, 'e/added'), 'by the user');
  const { committed, conflicts } = await commitOverlay(files.overlay);
  t.same(conflicts, ['d', 'd/added', 'd/b', 'f']);
  t.same(committed, ['d/a', 'e/a']);
  t.same(diskTree(workspace), {
    f: 'edited',
    'd/': '',
    'd/b': 'edited',
    'd/added': 'by the user',
    'e/': '',
    'e/added': 'by the user',
  });
  t.same(await guest.readdir(''), ['e'], 'what could not be deleted stays deleted for the session');
});

test('a file that the user added to a directory which the session deleted and made again, is not overwritten', async (t) => {
  const { files, guest, workspace } = await openSession(t, { 'd/a': '1' });
  for (const path of ['d/a', 'd']) await guest.unlink(path);
  writeFileSync(join(workspace, 'd/added'), 'by the user');
  await guest.mkdir('d');
  t.same(await guest.readdir('d'), []);
  await guest.write('d/added', 'by the session');
  const { conflicts } = await commitOverlay(files.overlay);
  t.same(conflicts, ['d/added']);
  t.same(diskTree(workspace), { 'd/': '', 'd/added': 'by the user' });
});

test('a change that somebody else made as well, or a touch, is no conflict', async (t) => {
  const { files, guest, workspace } = await openSession(t, {
    same: 'a',
    touched: 'b',
    moded: 'c',
    gone: 'd',
    'dir/f': 'e',
  });
  for (const name of ['same', 'touched', 'moded']) await guest.write(name, 'new');
  await guest.unlink('gone');
  await guest.write('newdir/f', 'x');
  writeFileSync(join(workspace, 'same'), 'new');
  utimesSync(join(workspace, 'touched'), 1, 1);
  chmodSync(join(workspace, 'moded'), 0o755);
  rmSync(join(workspace, 'gone'));
  mkdirSync(join(workspace, 'newdir'));
  const { conflicts } = await commitOverlay(files.overlay);
  t.same(conflicts, []);
  t.equal(statSync(join(workspace, 'moded')).mode & 0o777, 0o755, 'the mode is the one of now');
  t.same(await diffOverlay(files.overlay), []);
});

test('a file too large to hash is compared by its times and its inode', async (t) => {
  const { files, guest, workspace } = await openSession(t, { one: '', two: '' });
  for (const name of ['one', 'two']) truncateSync(join(workspace, name), 11 * 1024 * 1024);
  for (const name of ['one', 'two']) await guest.write(name, 'small');
  utimesSync(join(workspace, 'two'), 1, 1);
  t.same(await commitOverlay(files.overlay), { committed: ['one'], conflicts: ['two'] });
  t.equal(lstatSync(join(workspace, 'two')).size, 11 * 1024 * 1024);
});

test('modes and links survive a commit; set-user-id does not', async (t) => {
  const { files, guest, workspace } = await openSession(t, {
    tool: 'x',
    suid: 'x',
    'ro/f': 'x',
    link: '-> tool',
    old: '-> gone',
  });
  chmodSync(join(workspace, 'tool'), 0o750);
  chmodSync(join(workspace, 'suid'), 0o4755);
  await guest.write('link', 'through');
  await guest.write('suid', 'y');
  await guest.unlink('old');
  const { conflicts } = await commitOverlay(files.overlay);
  t.same(conflicts, []);
  t.equal(statSync(join(workspace, 'tool')).mode & 0o7777, 0o750);
  t.equal(statSync(join(workspace, 'suid')).mode & 0o7777, 0o755);
  t.ok(lstatSync(join(workspace, 'link')).isSymbolicLink(), 'a link in the workspace stays a link');
  t.same(readdirSync(workspace).sort(), ['link', 'ro', 'suid', 'tool']);
});

test('a file of the overlay without a record, replaces nothing', async (t) => {
  const { files, workspace, options } = await openSession(t, { a: 'user' });
  writeFileSync(join(options.stateDir, 'upper/a'), 'from a program');
  writeFileSync(join(options.stateDir, 'upper/b'), 'from a program');
  t.same(await commitOverlay(files.overlay), { committed: ['b'], conflicts: ['a'] });
  t.same(diskTree(workspace), { a: 'user', b: 'from a program' });
});

test('a user who edits the file between the last check and the rename, of a new file, wins', async (t) => {
  const { files, guest, workspace } = await openSession(t, { old: '1' });
  await guest.write('new', 'session');
  await guest.write('old', 'session');
  const result = await commitOverlay(files.overlay, undefined, (step, path) => {
    if (step === 'checked') writeFileSync(join(workspace, path), 'user');
  });
  t.same(result, { committed: [], conflicts: ['new', 'old'] });
  t.same(diskTree(workspace), { new: 'user', old: 'user' });
});
