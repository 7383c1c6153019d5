import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Test, test } from 'tap';
import { commitOverlay } from '../../supervisor/vfs/commit.js';
import { StorageQuota } from '../../supervisor/vfs/quota.js';
import { openSessionFiles } from '../../supervisor/vfs/session-files.js';
import { codeOf, diskTree, Guest, makePlace, plant } from './session-fixture.js';

/** A disk of 1 MiB, or null where this process may not mount one. */
function mountTinyDisk(t: Test): string | null {
  if (process.getuid?.() !== 0) return null;
  const disk = mkdtempSync(join(tmpdir(), 'astrid-disk-'));
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', disk]).status === 0;
  t.teardown(() => {
    if (mounted) spawnSync('umount', ['-l', disk]);
    rmdirSync(disk);
  });
  return mounted ? disk : null;
}

test('a disk that is full, of overlay and home, refuses writes with no_space and loses nothing', async (t) => {
  const disk = mountTinyDisk(t);
  if (disk === null) return t.pass('skipped: mounting needs root');
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

test('a workspace on a full disk, committed to, keeps its files, and takes the rest later', async (t) => {
  const disk = mountTinyDisk(t);
  if (disk === null) return t.pass('skipped: mounting needs root');
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
