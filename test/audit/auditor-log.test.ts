import {
  appendFileSync,
  chmodSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'tap';
import { openCheckpoint } from '../../abi/audit/checkpoint.js';
import { decodeEntry } from '../../abi/audit/entry.js';
import { encodeEvent } from '../../abi/audit/event.js';
import { verifyConsistency, verifyInclusion } from '../../abi/audit/proof.js';
import { encodeRecord, RECORD } from '../../abi/audit/segment.js';
import { PRINCIPALS_MAX } from '../../abi/audit/segment-head.js';
import { createVerifier } from '../../abi/audit/signing.js';
import { verifyLog } from '../../abi/audit/verify.js';
import { preparePrivateDirectory } from '../../supervisor/auditor/directory.js';
import { type DiskFile, type OpenDiskFile, openDiskFile } from '../../supervisor/auditor/disk-file.js';
import { GroupCommit } from '../../supervisor/auditor/group-commit.js';
import { openLogKey } from '../../supervisor/auditor/key-file.js';
import { AuditLog, type LogOptions, type OpenedLog } from '../../supervisor/auditor/log.js';
import { listSegments } from '../../supervisor/auditor/recovery.js';
import { joinRows, makeEvent, type Paths, pathsBelow, readKey, readLog, rowsOf, sourcesOf } from './log-fixture.js';

const SMALL = { segmentBytesMax: 2000 };

async function openLog(paths: Paths, more: Partial<LogOptions> = {}, known: string | null = null): Promise<OpenedLog> {
  await preparePrivateDirectory(paths.logDir);
  const key = await openLogKey(paths, listSegments(paths.logDir).length === 0);
  return AuditLog.open({ directory: paths.logDir, key, ...SMALL, ...more }, known);
}

const bytesOf = (...numbers: number[]): Buffer[] => numbers.map((number) => encodeEvent(makeEvent(number)));

async function appendEach(log: AuditLog, from: number, to: number): Promise<void> {
  for (let number = from; number < to; number += 1) await log.append(bytesOf(number));
}

async function verifies(paths: Paths, entries: number, known?: string) {
  const options = { key: readKey(paths), everySignature: true, ...(known === undefined ? {} : { known }) };
  const report = await verifyLog(sourcesOf(readLog(paths)), options);
  return report.firstBad === null && report.treeSize === entries && report.unsigned.bytes === 0;
}

test('a log that is closed and opened again goes on where it was, over many segments', async (t) => {
  const paths = pathsBelow(t.testdir());
  let known: string | null = null;
  for (let round = 0; round < 6; round += 1) {
    const { log, recovered, proof } = await openLog(paths, {}, known);
    t.strictSame(recovered, { bytes: 0, entries: 0 });
    t.equal(log.size, round * 7);
    if (known !== null) verifyConsistency(known, log.checkpoint, proof, readKey(paths));
    await appendEach(log, round * 7, round * 7 + 7);
    known = log.checkpoint;
    log.close();
  }
  t.ok(readLog(paths).length > 3, 'it was rotated');
  t.ok(await verifies(paths, 42, known ?? undefined));
});

test('every entry of a log of many segments is proven against its checkpoint', async (t) => {
  const paths = pathsBelow(t.testdir());
  const { log } = await openLog(paths);
  await appendEach(log, 0, 25);
  for (let index = 0; index < 25; index += 1) {
    const { entry, hashes, checkpoint } = await log.prove(index);
    t.equal(verifyInclusion(entry, { index, hashes }, checkpoint, readKey(paths)).size, 25);
    t.equal(decodeEntry(entry).event.resource, makeEvent(index).resource);
  }
  await t.rejects(log.prove(25), { code: 'invalid_argument', field: 'index' });
  const indices: number[] = [];
  for await (const entry of log.tail(10)) indices.push(decodeEntry(entry).index);
  t.strictSame(indices, [15, 16, 17, 18, 19, 20, 21, 22, 23, 24]);
  for await (const _ of log.tail(0)) t.fail('no lines, no entries');
  log.close();
});

test('a tail cut at every byte of the last batch loses that batch, says so, and nothing that was acknowledged', async (t) => {
  const paths = pathsBelow(t.testdir());
  const { log } = await openLog(paths, { segmentBytesMax: 1e6 });
  await appendEach(log, 0, 3);
  const known = log.checkpoint;
  const [name] = listSegments(paths.logDir) as [string];
  const path = join(paths.logDir, name);
  const acknowledged = statSync(path).size;
  await log.append(bytesOf(3, 4));
  log.close();
  const whole = readFileSync(path);
  for (let size = acknowledged; size < whole.length; size += 11) {
    writeFileSync(path, whole.subarray(0, size));
    const opened = await openLog(paths, { segmentBytesMax: 1e6 }, known);
    t.equal(opened.recovered.bytes, size - acknowledged);
    t.equal(opened.log.size, 3);
    opened.log.close();
    t.equal(statSync(path).size, acknowledged);
  }
  const { log: again } = await openLog(paths, { segmentBytesMax: 1e6 }, known);
  await again.append(bytesOf(5));
  again.close();
  t.ok(await verifies(paths, 4));
});

test('a torn tail of zeros or noise is cut', async (t) => {
  const paths = pathsBelow(t.testdir());
  for (const noise of [Buffer.alloc(5000), Buffer.alloc(700, 0x33), Buffer.from([3, 9, 0, 0])]) {
    const { log } = await openLog(paths);
    await log.append(bytesOf(1));
    log.close();
    appendFileSync(join(paths.logDir, listSegments(paths.logDir).at(-1) ?? ''), noise);
    const opened = await openLog(paths);
    t.equal(opened.recovered.bytes, noise.length);
    opened.log.close();
  }
  t.ok(await verifies(paths, 3));
});

test('a new segment without a finished batch is removed, and the one before it goes on', async (t) => {
  const paths = pathsBelow(t.testdir());
  const { log } = await openLog(paths);
  await appendEach(log, 0, 6);
  const known = log.checkpoint;
  log.close();
  writeFileSync(join(paths.logDir, 'segment-000000000000006.log'), Buffer.alloc(30, 7), { mode: 0o600 });
  const opened = await openLog(paths, {}, known);
  t.equal(opened.recovered.bytes, 30);
  await appendEach(opened.log, 6, 8);
  opened.log.close();
  t.ok(await verifies(paths, 8, known));
});

test('a first segment without a finished batch is removed, and the log is empty', async (t) => {
  const paths = pathsBelow(t.testdir());
  (await openLog(paths)).log.close();
  writeFileSync(join(paths.logDir, 'segment-000000000000000.log'), '');
  const opened = await openLog(paths);
  t.equal(opened.log.size, 0);
  await opened.log.append(bytesOf(0));
  opened.log.close();
  t.ok(await verifies(paths, 1));
});

test('damage in front of acknowledged entries is refused and nothing is cut', async (t) => {
  const paths = pathsBelow(t.testdir());
  const { log } = await openLog(paths, { segmentBytesMax: 1e6 });
  await appendEach(log, 0, 6);
  log.close();
  const path = join(paths.logDir, listSegments(paths.logDir)[0] ?? '');
  const bytes = readFileSync(path);
  for (const place of [100, 700, 1200]) {
    const damaged = Buffer.from(bytes);
    damaged[place] = (damaged[place] ?? 0) ^ 255;
    writeFileSync(path, damaged);
    await t.rejects(openLog(paths), { code: 'bad_log' });
    t.ok(readFileSync(path).equals(damaged), 'left as evidence');
  }
});

test('a checkpoint behind the end that no key signed does not stop a cut', async (t) => {
  const paths = pathsBelow(t.testdir());
  const { log } = await openLog(paths, { segmentBytesMax: 1e6 });
  await appendEach(log, 0, 2);
  log.close();
  const path = join(paths.logDir, listSegments(paths.logDir)[0] ?? '');
  // An entry may hold such bytes, chosen by a capsule.
  const fake = encodeRecord(RECORD.checkpoint, Buffer.from(`astrid.local/test\n99\nAAAA\n\n— astrid.local/test AAAAAAAA\n`));
  appendFileSync(path, Buffer.concat([Buffer.alloc(20), fake, fake, fake]));
  const opened = await openLog(paths);
  t.equal(opened.log.size, 2);
  opened.log.close();
});

test('a log shorter than, or other than, the known checkpoint is refused before anything is cut', async (t) => {
  const paths = pathsBelow(t.testdir());
  const { log } = await openLog(paths, { segmentBytesMax: 1e6 });
  await appendEach(log, 0, 3);
  const path = join(paths.logDir, listSegments(paths.logDir)[0] ?? '');
  const early = readFileSync(path);
  await appendEach(log, 3, 5);
  const known = log.checkpoint;
  log.close();
  writeFileSync(path, Buffer.concat([early, Buffer.from('torn')]));
  await t.rejects(openLog(paths, {}, known), { code: 'bad_log', field: 'known' });
  t.equal(statSync(path).size, early.length + 4, 'nothing was cut');
  truncateSync(path, early.length);
  const fork = await openLog(paths);
  await appendEach(fork.log, 10, 14);
  fork.log.close();
  await t.rejects(openLog(paths, {}, known), { code: 'bad_log', field: 'known' });
  await t.rejects(openLog(paths, {}, known.replace('astrid', 'osiris')), { code: 'bad_log', field: 'known' });
});

test('the file of tree hashes, lost, cut or changed, is made anew', async (t) => {
  const paths = pathsBelow(t.testdir());
  const { log } = await openLog(paths);
  await appendEach(log, 0, 30);
  const known = log.checkpoint;
  log.close();
  const path = join(paths.logDir, 'tree.hashes');
  const good = readFileSync(path);
  const spoil: (() => void)[] = [
    () => rmSync(path),
    () => truncateSync(path, 100),
    () => writeFileSync(path, Buffer.alloc(good.length, 1)),
    () => appendFileSync(path, Buffer.alloc(500)),
  ];
  for (const damage of spoil) {
    damage();
    const opened = await openLog(paths, {}, known);
    t.equal(opened.log.size, 30);
    opened.log.close();
    t.ok(readFileSync(path).equals(good));
  }
});

test('a hash in the tree file that was changed while the log is open gives no wrong proof', async (t) => {
  const paths = pathsBelow(t.testdir());
  const { log } = await openLog(paths);
  await appendEach(log, 0, 8);
  writeFileSync(join(paths.logDir, 'tree.hashes'), Buffer.alloc(15 * 32, 1));
  await t.rejects(log.prove(3), { code: 'bad_log' });
  log.close();
});

test('an entry with whole checksums that is not what was signed stops the log from opening', async (t) => {
  const paths = pathsBelow(t.testdir());
  const { log } = await openLog(paths, { segmentBytesMax: 1e6 });
  await appendEach(log, 0, 4);
  log.close();
  const path = join(paths.logDir, listSegments(paths.logDir)[0] ?? '');
  const rows = rowsOf({ name: '', bytes: readFileSync(path) });
  const payload = Buffer.from(rows[3]?.payload ?? []);
  payload[payload.length - 1] = (payload[payload.length - 1] ?? 0) ^ 1;
  writeFileSync(path, joinRows(rows.with(3, { type: 2, payload })));
  await t.rejects(openLog(paths), { code: 'bad_log' });
});

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
  await t.rejects(log.append([...bytesOf(1), Buffer.from('not an event, but long enough to look at')]), { code: 'bad_log' });
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
