import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'tap';
import { commitOverlay } from '../../supervisor/vfs/commit.js';
import { StorageQuota } from '../../supervisor/vfs/quota.js';
import { openSessionFiles } from '../../supervisor/vfs/session-files.js';
import { mountSmallDisk, NO_SMALL_DISK } from '../kit/small-disk.js';
import { codeOf, diskTree, Guest, makePlace, plant } from './session-fixture.js';

const skip = NO_SMALL_DISK;

test('a disk that is full, of overlay and home, refuses writes with no_space and loses nothing', {
  skip,
}, async (t) => {
  const disk = mountSmallDisk(t, 'size=1m');
  const place = makePlace(t, { 'a.txt': 'one', 'd/b.txt': 'two' });
  const quota = new StorageQuota(1e9);
  const options = {
    ...place.options,
    stateDir: join(disk, 'state'),
    homeDir: join(disk, 'home'),
    tmpDir: join(disk, 'tmp'),
    quota,
  };
  const files = await openSessionFiles(options);
  const guest = new Guest(files);
  await guest.write('a.txt', 'kept');
  await guest.write('home://h', 'kept');
  let made = 0;
  while ((await codeOf(guest.write(`fill${made}`, Buffer.alloc(60_000)))) === 'ok') made += 1;
  while ((await codeOf(guest.write(`small${made}`, Buffer.alloc(4_096)))) === 'ok') made += 1;
  const before = await guest.tree();
  t.equal(await codeOf(guest.write('more', Buffer.alloc(60_000))), 'no_space');
  t.equal(await codeOf(guest.write('a.txt', Buffer.alloc(60_000))), 'no_space');
  t.equal(await codeOf(guest.write('home://h', Buffer.alloc(60_000))), 'no_space');
  t.equal(await codeOf(guest.write('tmp://t', Buffer.alloc(60_000))), 'no_space');
  t.same(await guest.tree(), before, 'the view is as it was');
  t.equal(await guest.read('home://h'), 'kept');
  const used = quota.usedBytes;
  t.equal(await codeOf(guest.write('more', Buffer.alloc(60_000))), 'no_space');
  t.equal(quota.usedBytes, used, 'what failed took nothing from the quota');
  for (const name of Object.keys(before)) if (name.startsWith('fill')) await guest.unlink(name);
  await guest.write('more', Buffer.alloc(60_000));
  await guest.unlink('d/b.txt');
  await files.close();
  const again = await openSessionFiles(options);
  t.same((await commitOverlay(again.overlay)).conflicts, []);
  t.equal(readFileSync(join(place.workspace, 'a.txt'), 'utf8'), 'kept');
  await again.close();
});

test('a workspace on a full disk, committed to, keeps its files, and takes the rest later', { skip }, async (t) => {
  const disk = mountSmallDisk(t, 'size=1m');
  const workspace = join(disk, 'workspace');
  mkdirSync(workspace);
  plant(workspace, { 'a.txt': 'old', ballast: 'x'.repeat(700_000) });
  const place = makePlace(t);
  const files = await openSessionFiles({ ...place.options, workspace });
  const guest = new Guest(files);
  await guest.write('a.txt', 'n'.repeat(500_000));
  await guest.write('z.txt', 'small');
  t.equal(await codeOf(commitOverlay(files.overlay)), 'no_space');
  t.same(Object.keys(diskTree(workspace)), ['a.txt', 'ballast'], 'nothing half-written is left');
  t.equal(readFileSync(join(workspace, 'a.txt'), 'utf8'), 'old');
  t.equal((await guest.read('a.txt')).length, 500_000, 'the change is still in the overlay');
  await guest.unlink('ballast');
  t.same((await commitOverlay(files.overlay, ['ballast'])).committed, ['ballast']);
  t.same((await commitOverlay(files.overlay)).committed, ['a.txt', 'z.txt']);
  await files.close();
});

test('a disk without room for one more name, refuses new files, directories and whiteouts with no_space, and loses nothing', {
  skip,
}, async (t) => {
  const disk = mountSmallDisk(t, 'size=8m,nr_inodes=64');
  const place = makePlace(t, { 'a.txt': 'one', 'd/b.txt': 'two' });
  const files = await openSessionFiles({ ...place.options, stateDir: join(disk, 'state') });
  const guest = new Guest(files);
  let made = 0;
  while ((await codeOf(guest.write(`fill${made}`, 'x'))) === 'ok') made += 1;
  const before = await guest.tree();
  t.equal(await codeOf(guest.write('more', 'x')), 'no_space');
  t.equal(await codeOf(guest.mkdir('new')), 'no_space');
  t.equal(await codeOf(guest.unlink('d/b.txt')), 'no_space', 'a whiteout is a name, too');
  t.same(await guest.tree(), before);
  for (let n = 0; n < made; n++) await guest.unlink(`fill${n}`);
  await guest.unlink('d/b.txt');
  t.same(await guest.tree(), { 'a.txt': 'one', 'd/': '' });
  await files.close();
});
