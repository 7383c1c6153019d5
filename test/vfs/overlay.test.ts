import {
  chmodSync,
  existsSync,
  linkSync,
  lstatSync,
  readFileSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'tap';
import { LIMITS } from '../../abi/limits.js';
import { Overlay } from '../../supervisor/vfs/overlay.js';
import { StorageQuota } from '../../supervisor/vfs/quota.js';
import { openSessionFiles } from '../../supervisor/vfs/session-files.js';
import { codeOf, diskTree, Guest, makePlace, openSession, plant } from './session-fixture.js';

test('an untouched workspace, seen through the overlay, is itself', async (t) => {
  const { guest } = await openSession(t, { 'a.txt': 'one', 'd/b.txt': 'two', 'empty/': '' });
  t.same(await guest.tree(), { 'a.txt': 'one', 'd/': '', 'd/b.txt': 'two', 'empty/': '' });
  t.equal(await guest.exists(''), true, 'the root exists');
  t.equal(await guest.exists('nope'), false);
  t.equal(await guest.exists('a.txt/b'), false, 'below a file there is nothing');
  t.equal((await guest.stat('a.txt')).size, 3);
  t.equal((await guest.stat('d')).isDir, true);
  t.ok(Math.abs((await guest.stat('a.txt')).mtime - Date.now() / 1000) < 3600, 'mtime is in seconds');
  t.equal(await codeOf(guest.read('nope')), 'not_found');
  t.equal(await codeOf(guest.read('d')), 'is_a_directory');
  t.equal(await codeOf(guest.read('a.txt/b')), 'not_a_directory');
  t.equal(await codeOf(guest.readdir('a.txt')), 'not_a_directory');
  t.equal(await codeOf(guest.readdir('nope')), 'not_found');
  t.equal(await codeOf(guest.stat('nope')), 'not_found');
});

test('a write, whatever it does to the view, does not touch the workspace', async (t) => {
  const { guest, workspace } = await openSession(t, { 'a.txt': 'one', 'd/b.txt': 'two' });
  const before = diskTree(workspace);
  await guest.write('a.txt', 'changed');
  await guest.write('d/b.txt', '');
  await guest.write('new/deep/c.txt', 'three');
  await guest.mkdir('x/y');
  await guest.mkdir('d');
  t.same(await guest.tree(), {
    'a.txt': 'changed',
    'd/': '',
    'd/b.txt': '',
    'new/': '',
    'new/deep/': '',
    'new/deep/c.txt': 'three',
    'x/': '',
    'x/y/': '',
  });
  await guest.unlink('a.txt');
  await guest.unlink('d/b.txt');
  await guest.unlink('d');
  t.same(Object.keys(await guest.tree()), ['new/', 'new/deep/', 'new/deep/c.txt', 'x/', 'x/y/']);
  t.same(diskTree(workspace), before);
});

test('writes and removals that make no sense are refused by what is in the way', async (t) => {
  const { guest } = await openSession(t, { 'a.txt': 'one', 'd/b.txt': 'two' });
  t.equal(await codeOf(guest.write('', 'x')), 'is_a_directory');
  t.equal(await codeOf(guest.write('d', 'x')), 'is_a_directory');
  t.equal(await codeOf(guest.write('a.txt/x', 'x')), 'not_a_directory');
  t.equal(await codeOf(guest.mkdir('')), 'invalid_argument');
  t.equal(await codeOf(guest.mkdir('a.txt')), 'already_exists');
  t.equal(await codeOf(guest.mkdir('a.txt/x')), 'not_a_directory');
  t.equal(await codeOf(guest.unlink('')), 'invalid_argument');
  t.equal(await codeOf(guest.unlink('nope')), 'not_found');
  t.equal(await codeOf(guest.unlink('a.txt/x')), 'not_a_directory');
  t.equal(await codeOf(guest.unlink('d')), 'not_empty');
  await guest.write('d/c.txt', 'x');
  await guest.unlink('d/b.txt');
  t.equal(await codeOf(guest.unlink('d')), 'not_empty', 'what the session wrote counts, too');
  t.equal(await codeOf(guest.write('big', Buffer.alloc(LIMITS.payloadBytesMax + 1))), 'too_large');
  t.equal(await codeOf(guest.write('big', Buffer.alloc(LIMITS.payloadBytesMax))), 'ok');
  t.equal((await guest.read('big')).length, LIMITS.payloadBytesMax);
});

test('deletions, on disk, are character devices 0:0 that share one inode, as overlayfs makes them', async (t) => {
  const { guest, options } = await openSession(t, { a: '1', b: '2', 'd/c': '3' });
  for (const path of ['a', 'b', 'd/c']) await guest.unlink(path);
  const marks = ['a', 'b', 'd/c'].map((path) => lstatSync(join(options.stateDir, 'upper', path)));
  for (const mark of marks) {
    t.ok(mark.isCharacterDevice());
    t.equal(mark.rdev, 0);
  }
  t.equal(new Set(marks.map(({ ino }) => ino)).size, 1, 'one node, linked');
  t.same(await guest.readdir('d'), []);
  t.equal(await codeOf(guest.read('a')), 'not_found');
  t.equal(await codeOf(guest.unlink('a')), 'not_found', 'gone is gone');
});

test('a directory that is made again where one was deleted does not show the old entries', async (t) => {
  const { guest, workspace, options } = await openSession(t, { 'd/a': '1', 'd/sub/b': '2' });
  for (const path of ['d/a', 'd/sub/b', 'd/sub', 'd']) await guest.unlink(path);
  t.equal(await guest.exists('d'), false);
  await guest.mkdir('d');
  t.same(await guest.tree(), { 'd/': '' });
  await guest.write('d/sub/new', 'n');
  t.same(await guest.tree(), { 'd/': '', 'd/sub/': '', 'd/sub/new': 'n' });
  t.ok(lstatSync(join(options.stateDir, 'upper/d/a')).isCharacterDevice());
  await guest.unlink('d/sub/new');
  await guest.unlink('d/sub');
  await guest.unlink('d');
  await guest.write('d', 'a file now');
  t.same(await guest.tree(), { d: 'a file now' });
  t.equal(readFileSync(join(workspace, 'd/sub/b'), 'utf8'), '2', 'the workspace is as it was');
});

test('modes, of copied-up parents and of rewritten files, are those of the workspace', async (t) => {
  const { guest, workspace, options } = await openSession(t, { 'bin/tool': 'x', 'private/key': 'k' });
  chmodSync(join(workspace, 'bin/tool'), 0o755);
  chmodSync(join(workspace, 'private'), 0o700);
  await guest.write('bin/tool', 'y');
  await guest.write('private/other', 'o');
  await guest.write('plain', 'p');
  const mode = (path: string) => statSync(join(options.stateDir, 'upper', path)).mode & 0o7777;
  t.equal(mode('bin/tool'), 0o755);
  t.equal(mode('private'), 0o700);
  t.equal(mode('private/other'), 0o600, 'a new file is no more open than its directory');
  t.equal(mode('plain'), 0o644);
});

test('a huge sparse file in the workspace is replaced and deleted without being read', async (t) => {
  const { guest, workspace } = await openSession(t, { 'one.img': '', 'two.img': '' });
  for (const name of ['one.img', 'two.img']) truncateSync(join(workspace, name), 10 * 1024 ** 3);
  t.equal((await guest.stat('one.img')).size, 10 * 1024 ** 3);
  t.equal(await codeOf(guest.read('one.img')), 'too_large');
  await guest.write('one.img', 'small');
  await guest.unlink('two.img');
  t.same(await guest.tree(), { 'one.img': 'small' });
});

test('a hard link to a file outside, when it is written, leaves the outside file alone', async (t) => {
  const { guest, workspace, outside, files } = await openSession(t);
  linkSync(join(outside, 'secret'), join(workspace, 'inside'));
  t.equal(await guest.read('inside'), 'SECRET', 'it is a file of the workspace like any other');
  await guest.write('inside', 'changed');
  const { commitOverlay } = await import('../../supervisor/vfs/commit.js');
  t.same(await commitOverlay(files.overlay), { committed: ['inside'], conflicts: [] });
  t.equal(readFileSync(join(workspace, 'inside'), 'utf8'), 'changed');
  t.equal(readFileSync(join(outside, 'secret'), 'utf8'), 'SECRET', 'the name was replaced, not the content');
});

test('a session that is closed and opened again has the same view', async (t) => {
  const place = makePlace(t, { a: '1', 'd/b': '2' });
  const first = await openSessionFiles(place.options);
  const guest = new Guest(first);
  await guest.write('a', 'new');
  await guest.unlink('d/b');
  await guest.unlink('d');
  await guest.write('e/f', 'x');
  const seen = await guest.tree();
  await first.close();
  t.equal(await codeOf(guest.read('a')), 'cancelled', 'a closed session serves nothing');
  const second = await openSessionFiles(place.options);
  t.same(await new Guest(second).tree(), seen);
  await second.close();
});

test('a machine that makes no whiteouts, asked to delete from the workspace, says why and changes nothing', async (t) => {
  const place = makePlace(t, { a: '1' });
  const session = await openSessionFiles(place.options);
  await session.close();
  const dirs = {
    lower: place.workspace,
    upper: join(place.options.stateDir, 'upper'),
    work: join(place.options.stateDir, 'work'),
    meta: join(place.options.stateDir, 'meta'),
  };
  const makeNode = async (program: string) => `${program}: Operation not permitted`;
  const overlay = await Overlay.open(dirs, { quota: new StorageQuota(1e6), makeNode });
  await t.rejects(overlay.unlink(['a']), { code: 'not_supported', message: /cwd:\/\/a.*Operation not permitted/ });
  t.same(diskTree(dirs.upper), {});
  await overlay.writeFile(['b'], Buffer.from('x'));
  await overlay.unlink(['b']);
  t.same(await overlay.readdir([]), ['a'], 'what the session made itself can be removed');
  await overlay.close();
});

test('a quota, when it is used up, stops writes and deletions of the workspace, and is given back', async (t) => {
  const quota = new StorageQuota(20_000);
  const { guest, workspace } = await openSession(t, { a: '1' }, quota);
  await guest.write('x', Buffer.alloc(10_000));
  t.equal(await codeOf(guest.write('y', Buffer.alloc(10_000))), 'quota_exceeded');
  t.equal(await guest.exists('y'), false);
  await guest.write('z', Buffer.alloc(7_500));
  t.equal(await codeOf(guest.mkdir('d')), 'quota_exceeded');
  t.equal(await codeOf(guest.unlink('a')), 'quota_exceeded', 'a whiteout takes room, too');
  await guest.unlink('z');
  await guest.unlink('x');
  t.equal(quota.usedBytes, 0, 'all of it came back');
  await guest.write('y', Buffer.alloc(10_000));
  await guest.write('y', Buffer.alloc(100));
  await guest.unlink('a');
  await guest.mkdir('a/b/c');
  for (const path of ['a/b/c', 'a/b', 'a', 'y']) await guest.unlink(path);
  t.equal(quota.usedBytes, 1024, 'one whiteout is left');
  t.ok(existsSync(join(workspace, 'a')));
});

test('a guard, given a path through a link, is told where it leads before anything happens there', async (t) => {
  const { files, workspace } = await openSession(t, { 'secret/key': 'K', 'public/link': '-> ../secret/key' });
  const told: string[] = [];
  const guard = (resolved: { display: string }) => {
    told.push(resolved.display);
    if (resolved.display.includes('secret')) throw new Error('refused by the guard');
  };
  const asked = ['public', 'link'];
  const actions: readonly (() => Promise<unknown>)[] = [
    () => files.overlay.readFile(asked, guard),
    () => files.overlay.writeFile(asked, Buffer.from('x'), guard),
    () => files.overlay.stat(asked, guard),
    () => files.overlay.exists(asked, guard),
  ];
  for (const action of actions) await t.rejects(action());
  t.same(new Set(told), new Set(['cwd://secret/key']));
  await files.overlay.unlink(asked, guard);
  t.equal(told.at(-1), 'cwd://public/link', 'unlink takes the link itself');
  t.equal(readFileSync(join(workspace, 'secret/key'), 'utf8'), 'K');
});

test('the home of the system, when the workspace holds it, is out of reach by any name', async (t) => {
  const place = makePlace(t, { '.astrid/keys/audit.key': 'KEY', link: '-> .astrid/keys', 'a.txt': 'one' });
  plant(place.options.homeDir, { '.local/capsules/other/meta.json': '{}' });
  const protectedDirs = [join(place.workspace, '.astrid'), join(place.options.homeDir, '.local/capsules')];
  const files = await openSessionFiles({ ...place.options, protectedDirs });
  const guest = new Guest(files);
  for (const path of ['.astrid', '.astrid/keys/audit.key', 'link/audit.key', 'x/../.astrid/keys']) {
    t.equal(await codeOf(guest.read(path)), 'policy_denied', path);
    t.equal(await codeOf(guest.write(`${path}/x`, 'x')), 'policy_denied', path);
    t.equal(await codeOf(guest.exists(path)), 'policy_denied', path);
  }
  t.equal(await codeOf(guest.unlink('.astrid')), 'policy_denied');
  t.equal(await codeOf(guest.readdir('.astrid')), 'policy_denied');
  t.equal(await codeOf(files.overlay.stat(['.astrid'])), 'policy_denied');
  t.equal(await codeOf(guest.write('home://.local/capsules/other/meta.json', 'x')), 'policy_denied');
  t.equal(await codeOf(guest.mkdir('home://.local/capsules/mine')), 'policy_denied');
  t.equal(await guest.read('a.txt'), 'one');
  await files.close();
  for (const inside of ['.astrid', '.astrid/keys']) {
    const workspace = join(place.workspace, inside);
    t.equal(await codeOf(openSessionFiles({ ...place.options, workspace, protectedDirs })), 'policy_denied', inside);
  }
  writeFileSync(join(place.dir, 'file'), '');
  const noDirectory = { ...place.options, workspace: join(place.dir, 'file') };
  t.equal(await codeOf(openSessionFiles(noDirectory)), 'not_found', 'a workspace that is no directory');
});

test('readers of a directory that is deleted and made again, meanwhile, never see a deleted file', async (t) => {
  const { guest } = await openSession(t, { 'd/old': 'deleted', 'd/s/old': 'deleted' });
  for (const path of ['d/old', 'd/s/old', 'd/s', 'd']) await guest.unlink(path);
  const changing = (async () => {
    for (let at = 0; at < 40; at++) {
      await guest.mkdir('d/s');
      await guest.unlink('d/s');
      await guest.unlink('d');
    }
    return 'done';
  })();
  const seen = new Set<string>();
  for (let state = ''; state !== 'done'; state = await Promise.race([changing, Promise.resolve('')])) {
    for (const path of ['d/old', 'd/s/old', 'd/s']) seen.add(await codeOf(guest.read(path)));
  }
  seen.delete('is_a_directory');
  t.same([...seen], ['not_found']);
});
