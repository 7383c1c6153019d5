import { test, testdir } from 'tap';
import { signCheckpoint } from '../../abi/audit/checkpoint.js';
import { decodeEntry, encodeEntry, hashEntry } from '../../abi/audit/entry.js';
import { CompactTree, hashLeaf } from '../../abi/audit/merkle.js';
import { makeNoteKey } from '../../abi/audit/note.js';
import { RECORD } from '../../abi/audit/segment.js';
import { createSigner, generateKeyPair } from '../../abi/audit/signing.js';
import { type VerifyOptions, type VerifyReport, verifyLog } from '../../abi/audit/verify.js';
import type { AuditEvent } from '../../abi/audit-event.js';
import {
  entryPositions,
  joinRows,
  makeEvent,
  ORIGIN,
  pathsBelow,
  type Row,
  readKey,
  readLog,
  rowsOf,
  type SegmentBytes,
  sourcesOf,
  writeLog,
} from './log-fixture.js';

/** Entries in each batch; so the log's checkpoints are for 3, 4, 8 and 10 entries. */
const BATCHES = [3, 1, 4, 2];
const TOTAL = 10;

function makeBatches(from = 0): AuditEvent[][] {
  let next = from;
  return BATCHES.map((length) => Array.from({ length }, () => makeEvent(next++)));
}

/** The batch of an entry: its first and last index. */
function batchOf(index: number): { first: number; last: number } {
  let first = 0;
  for (const length of BATCHES) {
    if (index < first + length) return { first, last: first + length - 1 };
    first += length;
  }
  throw new Error(`no batch of ${index}`);
}

interface Log {
  readonly segment: SegmentBytes;
  readonly rows: Row[];
  readonly options: VerifyOptions;
  readonly checkpoint: string;
}

/** Written once by a real auditor process; every test changes its own copy. */
async function realLog(root: string): Promise<Log> {
  const paths = pathsBelow(root);
  await writeLog(paths, makeBatches());
  const [segment] = readLog(paths) as [SegmentBytes];
  const rows = rowsOf(segment);
  const checkpoint = rows.at(-1)?.payload.toString() ?? '';
  return { segment, rows, options: { key: readKey(paths) }, checkpoint };
}

function verify(bytes: Buffer, options: VerifyOptions, chunkBytes = 1000): Promise<VerifyReport> {
  return verifyLog(sourcesOf([{ name: 'segment', bytes }], chunkBytes), options);
}

function badOf(report: VerifyReport): [number, number] | null {
  return report.firstBad === null ? null : [report.firstBad.index, report.firstBad.last];
}

/** Rewrites the log as somebody would who has everything but the key: links, tree, checkpoints and signatures are made anew. */
async function relink(
  log: Log,
  options: VerifyOptions,
  change: (entry: ReturnType<typeof decodeEntry>) => ReturnType<typeof decodeEntry>,
  claimedId?: Buffer,
): Promise<{ bytes: Buffer; key: VerifyOptions['key'] }> {
  const pair = await generateKeyPair();
  const signer = createSigner(pair.secret);
  const key = makeNoteKey(options.key.name, pair.public);
  const tree = new CompactTree();
  const heads = new Map<string, Buffer>();
  let previous: Buffer = Buffer.alloc(32);
  const rows = log.rows.map((row): Row => {
    if (row.type === RECORD.segment) return row;
    if (row.type === RECORD.checkpoint) {
      const by = claimedId === undefined ? key : { ...key, id: claimedId };
      return { type: row.type, payload: Buffer.from(signCheckpoint(tree.size, tree.root(), by, signer)) };
    }
    const entry = decodeEntry(row.payload);
    const head = heads.get(entry.event.principal) ?? Buffer.alloc(32);
    const payload = encodeEntry(change({ ...entry, previous, previousOfPrincipal: head }));
    previous = hashEntry(payload);
    heads.set(entry.event.principal, previous);
    tree.append(hashLeaf(payload));
    return { type: row.type, payload };
  });
  return { bytes: joinRows(rows), key };
}

const log = await realLog(testdir());
const { rows, options } = log;
const at = entryPositions(rows);
const changed = (change: (copy: Row[]) => Row[]): Buffer => joinRows(change(rows.map((row) => ({ ...row }))));

test('a real log, untouched, verifies in chunks of any size, natively and portably', async (t) => {
  for (const chunkBytes of [1, 13, 1000, 1e6]) {
    const report = await verify(log.segment.bytes, options, chunkBytes);
    t.strictSame(report, {
      entries: TOTAL,
      treeSize: TOTAL,
      principals: 2,
      firstBad: null,
      checkpoint: log.checkpoint,
      unsigned: { entries: 0, bytes: 0 },
    });
  }
  const strict = { ...options, portable: true, everySignature: true, known: log.checkpoint };
  t.equal((await verify(log.segment.bytes, strict)).firstBad, null);
  t.equal((await verifyLog([], options)).treeSize, 0);
});

test('a real log, one bit of any byte changed, names the record it is in', async (t) => {
  let offset = 0;
  let entries = 0;
  for (const row of rows) {
    const end = offset + 12 + row.payload.length;
    for (let byte = offset; byte < end; byte += 7) {
      const bytes = Buffer.from(log.segment.bytes);
      bytes[byte] = (bytes[byte] ?? 0) ^ 4;
      const { firstBad } = await verify(bytes, options);
      if (firstBad?.index !== entries || firstBad.offset !== offset) t.fail(`byte ${byte}: ${firstBad?.index}`);
    }
    if (row.type === RECORD.entry) entries += 1;
    offset = end;
  }
  t.pass('all');
});

test('a real log, one byte of any entry changed and the checksum made right, names the entry', async (t) => {
  for (const [index, position] of at.entries()) {
    const { first, last } = batchOf(index);
    const { length } = (rows[position] as Row).payload;
    for (let byte = 0; byte < length; byte += 5) {
      const bytes = changed((copy) => {
        const payload = Buffer.from((copy[position] as Row).payload);
        payload[byte] = (payload[byte] ?? 0) ^ 1;
        copy[position] = { type: RECORD.entry, payload };
        return copy;
      });
      const report = await verify(bytes, options);
      const bad = badOf(report);
      // The last entry of a batch has no successor under the same signature: then the batch is what can be named.
      const exact = bad?.[0] === index;
      const batch = index === last && bad?.[0] === first && bad[1] === last;
      if (!exact && !batch) t.fail(`entry ${index}, byte ${byte}: ${JSON.stringify(report.firstBad)}`);
      if (report.treeSize > first) t.fail(`entry ${index}: ${report.treeSize} called proven`);
    }
  }
  t.pass('all');
});

test('a real log, an entry removed, names the place where it was', async (t) => {
  for (const [index, position] of at.entries()) {
    const report = await verify(
      changed((copy) => copy.toSpliced(position, 1)),
      options,
    );
    t.equal(report.firstBad?.index, index, `entry ${index}`);
  }
});

test('a real log, a whole batch removed, names its first entry', async (t) => {
  const report = await verify(
    changed((copy) => copy.toSpliced(5, 2)),
    options,
  );
  t.equal(report.firstBad?.index, 3);
  t.equal(report.treeSize, 3);
});

test('a real log, two neighbours swapped, names the first of them', async (t) => {
  for (let index = 0; index + 1 < TOTAL; index += 1) {
    const [one, other] = [at[index] as number, at[index + 1] as number];
    const bytes = changed((copy) => {
      [copy[one], copy[other]] = [copy[other] as Row, copy[one] as Row];
      return copy;
    });
    t.equal((await verify(bytes, options)).firstBad?.index, index, `entry ${index}`);
  }
});

test('a real log, an entry put in, names the place after which it stands', async (t) => {
  const copyOf = rows[at[4] as number] as Row;
  const report = await verify(
    changed((copy) => copy.toSpliced((at[4] as number) + 1, 0, copyOf)),
    options,
  );
  t.equal(report.firstBad?.index, 5);
});

test('a real log, cut at any record before a known checkpoint, names the first missing entry', async (t) => {
  const known = { ...options, known: log.checkpoint };
  let signed = 0;
  let entries = 0;
  for (let length = 0; length < rows.length; length += 1) {
    const report = await verify(joinRows(rows.slice(0, length)), known);
    t.equal(report.firstBad?.index, signed, `${length} records`);
    const row = rows[length] as Row;
    if (row.type === RECORD.entry) entries += 1;
    if (row.type === RECORD.checkpoint) signed = entries;
  }
});

test('a real log, cut inside a record, without a known checkpoint, is a torn tail and no error', async (t) => {
  const { bytes } = log.segment;
  const report = await verify(bytes.subarray(0, bytes.length - 3), options);
  t.equal(report.firstBad, null);
  t.equal(report.treeSize, 8);
  t.equal(report.unsigned.entries, 2);
  t.ok(report.unsigned.bytes > 0);
  const cut = await verify(bytes.subarray(0, bytes.length - 3), { ...options, known: log.checkpoint });
  t.equal(cut.firstBad?.index, 8);
});

test('a real log, a checkpoint of another size, an unneeded one, and a second head are errors', async (t) => {
  const early = rows.find((row) => row.type === RECORD.checkpoint) as Row;
  const last = rows.length - 1;
  t.equal(
    (
      await verify(
        changed((copy) => copy.with(last, early)),
        options,
      )
    ).firstBad?.index,
    8,
  );
  t.equal(
    (
      await verify(
        changed((copy) => [...copy, early]),
        options,
      )
    ).firstBad?.index,
    TOTAL,
  );
  t.equal(
    (
      await verify(
        changed((copy) => [...copy, copy[0] as Row]),
        options,
      )
    ).firstBad?.index,
    TOTAL,
  );
  t.equal(
    (
      await verify(
        changed((copy) => copy.slice(1)),
        options,
      )
    ).firstBad?.index,
    0,
  );
});

test('a real log, a signature changed and the checksum made right, is found when every signature is asked for', async (t) => {
  const position = rows.findIndex((row) => row.type === RECORD.checkpoint);
  const text = (rows[position] as Row).payload.toString();
  const blob = Buffer.from(text.slice(text.lastIndexOf(' ') + 1), 'base64');
  blob[20] = (blob[20] ?? 0) ^ 1;
  const payload = Buffer.from(`${text.slice(0, text.lastIndexOf(' ') + 1)}${blob.toString('base64')}\n`);
  const bytes = changed((copy) => copy.with(position, { type: RECORD.checkpoint, payload }));
  t.equal((await verify(bytes, options)).firstBad, null, 'its entries are proven by the later ones');
  const strict = await verify(bytes, { ...options, everySignature: true });
  t.strictSame(badOf(strict), [0, 2]);
  const end = rows.length - 1;
  const lastBytes = changed((copy) => copy.with(end, { type: RECORD.checkpoint, payload }));
  t.equal((await verify(lastBytes, options)).firstBad?.index, 8, 'the last one is always checked');
});

test("a real log, one principal's chain is followed alone, and its broken link is found", async (t) => {
  const one = await verify(log.segment.bytes, { ...options, principal: 'agent' });
  t.equal(one.entries, 4);
  t.equal(one.treeSize, TOTAL);
  t.equal(one.principals, 1);
  t.equal(one.firstBad, null);
  // Entry 6 is agent's third; all links and signatures but its own chain are made right again.
  const forged = await relink(log, options, (entry) =>
    entry.index === 6 ? { ...entry, previousOfPrincipal: Buffer.alloc(32, 5) } : entry,
  );
  const { firstBad } = await verify(forged.bytes, { key: forged.key, principal: 'agent' });
  t.ok(firstBad !== null && firstBad.index <= 6 && firstBad.last === 6);
  t.equal((await verify(forged.bytes, { key: forged.key })).firstBad?.index, 6);
  t.equal((await verify(forged.bytes, { key: forged.key, principal: 'default' })).firstBad, null);
});

test('a real log, signed again with another key after a change, names the first entry', async (t) => {
  const forged = await relink(log, options, (entry) =>
    entry.index === 5 ? { ...entry, event: { ...entry.event, resource: 'cwd://innocent' } } : entry,
  );
  t.equal((await verify(forged.bytes, { key: forged.key })).firstBad, null, 'it is consistent in itself');
  const report = await verify(forged.bytes, options);
  t.equal(report.firstBad?.index, 0);
  t.equal(report.treeSize, 0);
  t.match(report.firstBad?.message, /pinned key/);
});

test("a real log, signed again with another key that claims the pinned key's id, names the first entry", async (t) => {
  const forged = await relink(log, options, (entry) => entry, options.key.id);
  const report = await verify(forged.bytes, options);
  t.equal(report.firstBad?.index, 0);
  t.match(report.firstBad?.message, /not signed by the pinned key/);
});

test('a real log, of another origin, is refused', async (t) => {
  const key = makeNoteKey('astrid.local/other', options.key.publicKey);
  t.equal((await verify(log.segment.bytes, { key })).firstBad?.index, 0);
});

test('a real log, the known checkpoint itself must be signed by the pinned key', async (t) => {
  const pair = await generateKeyPair();
  const other = makeNoteKey(ORIGIN, pair.public);
  const foreign = signCheckpoint(1, Buffer.alloc(32), other, createSigner(pair.secret));
  for (const known of [foreign, 'nonsense']) {
    await t.rejects(verify(log.segment.bytes, { ...options, known }), { code: 'bad_proof', field: 'known' });
    await t.rejects(verify(log.segment.bytes, { ...options, known, portable: true }), { code: 'bad_proof' });
  }
});
test('a fork of a log, signed by the same key, does not extend the known checkpoint', async (t) => {
  const root = t.testdir();
  const { cpSync } = await import('node:fs');
  const paths = pathsBelow(root);
  await writeLog(paths, makeBatches());
  cpSync(root, `${root}-fork`, { recursive: true, verbatimSymlinks: true });
  t.teardown(async () => (await import('node:fs/promises')).rm(`${root}-fork`, { recursive: true }));
  const fork = pathsBelow(`${root}-fork`);
  await writeLog(paths, [[makeEvent(100)], [makeEvent(101)]]);
  await writeLog(fork, [[makeEvent(200)], [makeEvent(201)], [makeEvent(202)]]);
  const [ours] = readLog(paths) as [SegmentBytes];
  const [theirs] = readLog(fork) as [SegmentBytes];
  const known = rowsOf(ours).at(-1)?.payload.toString() ?? '';
  const key = readKey(paths);
  t.equal((await verify(theirs.bytes, { key })).firstBad, null, 'the fork is a good log by itself');
  const report = await verify(theirs.bytes, { key, known });
  t.equal(report.firstBad?.index, TOTAL + 1, 'the last entry that the known checkpoint covers');
  t.match(report.firstBad?.message, /fork/);
  t.equal((await verify(ours.bytes, { key, known })).firstBad, null);
});
