import { appendFileSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'tap';
import { decodeEntry } from '../../abi/audit/entry.js';
import { verifyConsistency, verifyInclusion } from '../../abi/audit/proof.js';
import { encodeRecord, RECORD } from '../../abi/audit/segment.js';
import { listSegments } from '../../supervisor/auditor/recovery.js';
import { joinRows, makeEvent, pathsBelow, readKey, readLog, rowsOf } from './log-fixture.js';
import { appendEach, bytesOf, openLog, verifies } from './open-log.js';

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

test('a last batch whose middle never reached the disk is cut, unless the known checkpoint says it was acknowledged', async (t) => {
  const paths = pathsBelow(t.testdir());
  const { log } = await openLog(paths, { segmentBytesMax: 1e6 });
  await appendEach(log, 0, 3);
  const before = log.checkpoint;
  const path = join(paths.logDir, listSegments(paths.logDir)[0] ?? '');
  const { size } = statSync(path);
  await log.append(bytesOf(3, 4, 5));
  const after = log.checkpoint;
  log.close();
  const bytes = readFileSync(path);
  // Pages reach the disk in any order: its checkpoint is there and an entry in front of it is not.
  bytes.fill(0, size + 50, size + 200);
  writeFileSync(path, bytes);
  await t.rejects(openLog(paths, {}, after), { code: 'bad_log', field: 'known' });
  t.equal(statSync(path).size, bytes.length, 'nothing was cut');
  const opened = await openLog(paths, {}, before);
  t.equal(opened.log.size, 3);
  t.equal(opened.recovered.bytes, bytes.length - size);
  opened.log.close();
  t.ok(await verifies(paths, 3, before));
});

test('a checkpoint behind the end that no key signed does not stop a cut', async (t) => {
  const paths = pathsBelow(t.testdir());
  const { log } = await openLog(paths, { segmentBytesMax: 1e6 });
  await appendEach(log, 0, 2);
  log.close();
  const path = join(paths.logDir, listSegments(paths.logDir)[0] ?? '');
  // An entry may hold such bytes, chosen by a capsule.
  const fake = encodeRecord(
    RECORD.checkpoint,
    Buffer.from(`astrid.local/test\n99\nAAAA\n\n— astrid.local/test AAAAAAAA\n`),
  );
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
