import { chmodSync, mkdirSync, readdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'tap';
import { openCheckpoint } from '../../abi/audit/checkpoint.js';
import { encodeEvent } from '../../abi/audit/event.js';
import { PRINCIPALS_MAX } from '../../abi/audit/segment-head.js';
import { createVerifier } from '../../abi/audit/signing.js';
import { type DiskFile, type OpenDiskFile, openDiskFile } from '../../supervisor/auditor/disk-file.js';
import { GroupCommit } from '../../supervisor/auditor/group-commit.js';
import { listSegments } from '../../supervisor/auditor/recovery.js';
import { preparePrivateDirectory } from '../../supervisor/private-files/directory.js';
import { makeEvent, pathsBelow, readKey } from './log-fixture.js';
import { appendEach, bytesOf, openLog, verifies } from './open-log.js';

type Failure = 'write' | 'sync' | 'truncate';

/** A disk whose segment files fail where `failing` says, after having written a part. */
function failingDisk(failing: Set<Failure>): OpenDiskFile {
  const trouble = (code: string) => Object.assign(new Error(code), { code });
  return (path, mode) => {
    const file = openDiskFile(path, mode);
    if (!path.includes('segment-')) return file;
    const wrapped: DiskFile = {
      get size() {
        return file.size;
      },
      read: (position, length) => file.read(position, length),
      write(bytes, position) {
        if (!failing.has('write')) return file.write(bytes, position);
        file.write(bytes.subarray(0, bytes.length >> 1), position);
        throw trouble('ENOSPC');
      },
      truncate(size) {
        if (failing.has('truncate')) throw trouble('EIO');
        file.truncate(size);
      },
      async sync() {
        if (failing.delete('sync')) throw trouble('EIO');
        await file.sync();
      },
      close: () => file.close(),
    };
    return wrapped;
  };
}

test('a full disk fails the batch, leaves nothing of it, and the log works again when there is room', async (t) => {
  const paths = pathsBelow(t.testdir());
  const failing = new Set<Failure>();
  const { log } = await openLog(paths, { openFile: failingDisk(failing) });
  await appendEach(log, 0, 3);
  for (let round = 0; round < 2; round += 1) {
    failing.add('write');
    for (let attempt = 0; attempt < 3; attempt += 1) {
      await t.rejects(log.append(bytesOf(90, 91)), { code: 'no_space' });
      t.ok(await verifies(paths, log.size), 'nothing of it is in the files');
    }
    failing.clear();
    await appendEach(log, log.size, log.size + 9);
  }
  t.ok(log.trusted);
  log.close();
  t.ok(await verifies(paths, 21));
});

test('a full disk at the start of a new segment leaves no segment behind', async (t) => {
  const paths = pathsBelow(t.testdir());
  const failing = new Set<Failure>();
  const { log } = await openLog(paths, { openFile: failingDisk(failing), segmentBytesMax: 1 });
  await appendEach(log, 0, 2);
  failing.add('write');
  await t.rejects(log.append(bytesOf(2)), { code: 'no_space' });
  t.equal(listSegments(paths.logDir).length, 2);
  failing.clear();
  await appendEach(log, 2, 4);
  log.close();
  t.ok(await verifies(paths, 4));
});

test('a failed sync fails the batch and cuts it, a failed cut ends the trust', async (t) => {
  const paths = pathsBelow(t.testdir());
  const failing = new Set<Failure>();
  const { log } = await openLog(paths, { openFile: failingDisk(failing), segmentBytesMax: 1e6 });
  await appendEach(log, 0, 2);
  failing.add('sync');
  await t.rejects(log.append(bytesOf(9)), { code: 'io_error' });
  t.ok(log.trusted);
  await log.append(bytesOf(2));
  failing.add('write').add('truncate');
  await t.rejects(log.append(bytesOf(9)), { code: 'io_error' });
  t.notOk(log.trusted);
  failing.clear();
  await t.rejects(log.append(bytesOf(9)), { code: 'io_error' }, 'it takes nothing any more');
  log.close();
  const opened = await openLog(paths);
  t.equal(opened.log.size, 3);
  t.ok(opened.recovered.bytes > 0);
  opened.log.close();
  t.ok(await verifies(paths, 3));
});

test('events that arrive during a commit share the next one, in order, under one checkpoint', async (t) => {
  const paths = pathsBelow(t.testdir());
  const { log } = await openLog(paths, { segmentBytesMax: 1e6 });
  const batches: number[] = [];
  const commit = new GroupCommit((events) => {
    batches.push(events.length);
    return log.append(events);
  });
  const answers = await Promise.all(Array.from({ length: 50 }, (_, number) => commit.submit(0, bytesOf(number))));
  t.strictSame(
    answers.map((answer) => answer.firstIndex),
    Array.from({ length: 50 }, (_, number) => number),
  );
  t.strictSame(batches, [50]);
  const first = commit.submit(0, bytesOf(50));
  await new Promise((resolve) => setImmediate(resolve));
  const rest = [commit.submit(0, bytesOf(51)), commit.submit(0, bytesOf(52, 53))];
  await Promise.all([first, ...rest]);
  t.strictSame(batches, [50, 1, 3]);
  const { checkpoint } = await first;
  t.equal(openCheckpoint(checkpoint, readKey(paths), createVerifier(readKey(paths).publicKey)).size, 51);
  await commit.idle();
  log.close();
  t.ok(await verifies(paths, 54));
});

test('after a failed batch nothing of its epoch is written, also what came behind it', async (t) => {
  let broken = true;
  const written: number[] = [];
  const commit = new GroupCommit(async (events) => {
    await new Promise((resolve) => setImmediate(resolve));
    if (broken) throw new Error('disk');
    written.push(events.length);
    return { firstIndex: 0, treeSize: events.length, checkpoint: '' };
  });
  const first = commit.submit(0, bytesOf(1));
  await Promise.resolve();
  await Promise.resolve();
  const behind = commit.submit(0, bytesOf(2));
  await t.rejects(first, { code: 'internal' });
  await t.rejects(behind, { code: 'cancelled' });
  broken = false;
  await t.rejects(commit.submit(0, bytesOf(3)), { code: 'cancelled' });
  await commit.submit(1, bytesOf(4, 5));
  t.strictSame(written, [2]);
});

test('a batch with an event that is not canonical, or a principal too many, changes nothing', async (t) => {
  const paths = pathsBelow(t.testdir());
  const { log } = await openLog(paths);
  await t.rejects(log.append([...bytesOf(1), Buffer.from('not an event, but long enough to look at')]), {
    code: 'bad_log',
  });
  t.equal(log.size, 0);
  await log.append(bytesOf(1));
  log.close();
  t.ok(await verifies(paths, 1));
});

test('a principal beyond the largest number is refused, the known ones are still logged', async (t) => {
  const paths = pathsBelow(t.testdir());
  const { log } = await openLog(paths, { segmentBytesMax: 1e6 });
  const of = (number: number) => encodeEvent(makeEvent(1, { principal: `p${number}` }));
  await log.append(Array.from({ length: PRINCIPALS_MAX }, (_, number) => of(number)));
  await t.rejects(log.append([of(0), of(PRINCIPALS_MAX)]), { code: 'quota_exceeded', field: 'principal' });
  await log.append([of(1)]);
  log.close();
  const opened = await openLog(paths, { segmentBytesMax: 1e6 });
  t.equal(opened.log.size, PRINCIPALS_MAX + 1);
  opened.log.close();
  t.ok(await verifies(paths, PRINCIPALS_MAX + 1));
});

test('a log directory that others can use, or that is a link, is refused', async (t) => {
  const root = t.testdir();
  mkdirSync(join(root, 'open'));
  chmodSync(join(root, 'open'), 0o755);
  await t.rejects(preparePrivateDirectory(join(root, 'open')), { code: 'bad_home' });
  mkdirSync(join(root, 'real'), { mode: 0o700 });
  symlinkSync(join(root, 'real'), join(root, 'link'));
  await t.rejects(preparePrivateDirectory(join(root, 'link')), { code: 'bad_home' });
  await preparePrivateDirectory(join(root, 'real'));
  t.strictSame(readdirSync(join(root, 'real')), []);
});
