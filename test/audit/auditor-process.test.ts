import { once } from 'node:events';
import { chmodSync, cpSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'tap';
import { decodeEntry } from '../../abi/audit/entry.js';
import { encodeEvent } from '../../abi/audit/event.js';
import { verifyInclusion } from '../../abi/audit/proof.js';
import { RECORD } from '../../abi/audit/segment.js';
import { verifyLog } from '../../abi/audit/verify.js';
import { encodeFrame } from '../../bus/frame.js';
import { spawnAuditor } from '../../supervisor/auditor/spawn.js';
import {
  makeClient,
  makeEvent,
  type Paths,
  pathsBelow,
  readKey,
  readLog,
  rowsOf,
  sourcesOf,
  writeLog,
} from './log-fixture.js';

/** The log's resources in order; the log and the stored checkpoint must verify. */
async function readVerified(paths: Paths): Promise<string[]> {
  const known = readFileSync(paths.checkpointPath, 'utf8');
  const segments = readLog(paths);
  const report = await verifyLog(sourcesOf(segments), { key: readKey(paths), known, everySignature: true });
  if (report.firstBad !== null) throw new Error(report.firstBad.message);
  const entries = segments.flatMap((segment) => rowsOf(segment).filter((row) => row.type === RECORD.entry));
  return entries.map((row) => decodeEntry(row.payload).event.resource);
}

test('a second auditor on the same log is refused, and gets it when the first has ended', async (t) => {
  const paths = pathsBelow(t.testdir());
  const first = makeClient(paths);
  await first.start();
  let time = 0;
  const second = makeClient(paths, { now: () => (time += 4000) });
  await t.rejects(second.start(), { code: 'already_running' });
  await first.append(makeEvent(1));
  await first.close();
  const third = makeClient(paths);
  t.equal((await third.start()).treeSize, 1);
  await third.close();
});

test('an older copy of the log put back is refused, and so is an emptied one', async (t) => {
  const root = t.testdir();
  const paths = pathsBelow(root);
  await writeLog(paths, [[makeEvent(0)], [makeEvent(1)]]);
  const copy = join(root, 'copy');
  cpSync(paths.logDir, copy, { recursive: true, verbatimSymlinks: true });
  await writeLog(paths, [[makeEvent(2)]]);
  rmSync(paths.logDir, { recursive: true });
  cpSync(copy, paths.logDir, { recursive: true, verbatimSymlinks: true });
  chmodSync(paths.logDir, 0o700);
  await t.rejects(makeClient(paths).start(), { code: 'bad_log' });
  const forked = makeClient({ ...paths, checkpointPath: join(root, 'none') });
  await t.rejects(forked.start(), { code: 'bad_log' }, 'a missing checkpoint is no way around it');
  rmSync(paths.logDir, { recursive: true });
  await t.rejects(makeClient(paths).start(), { code: 'bad_log' });
});

test('a key that others can read is refused at the start', async (t) => {
  const paths = pathsBelow(t.testdir());
  await writeLog(paths, [[makeEvent(0)]]);
  chmodSync(paths.keyPath, 0o644);
  await t.rejects(makeClient(paths).start(), { code: 'bad_home' });
  chmodSync(paths.keyPath, 0o600);
  chmodSync(paths.logDir, 0o755);
  await t.rejects(makeClient(paths).start(), { code: 'bad_home' });
});

test('signals for the whole group do not end it, its files are private and its environment empty', async (t) => {
  const paths = pathsBelow(t.testdir());
  process.env['AUDIT_TEST_SECRET'] = 'inherited';
  t.teardown(() => delete process.env['AUDIT_TEST_SECRET']);
  const client = makeClient(paths);
  await client.start();
  const { pid } = client;
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.kill(pid as number, signal);
  await client.append(makeEvent(0));
  t.equal(client.pid, pid);
  const files = readdirSync(paths.logDir).filter((name) => !name.startsWith('lock.'));
  for (const name of files) t.equal(statSync(join(paths.logDir, name)).mode & 0o777, 0o600, name);
  t.equal(statSync(paths.checkpointPath).mode & 0o777, 0o600);
  t.equal(statSync(dirname(paths.keyPath)).mode & 0o777, 0o700);
  if (process.platform === 'linux') t.notMatch(readFileSync(`/proc/${pid}/environ`, 'utf8'), /AUDIT_TEST_SECRET|PATH=/);
  await client.close();
});

test('when its channel closes it ends with 0, and what it had received is in the log', async (t) => {
  const paths = pathsBelow(t.testdir());
  await writeLog(paths, [[makeEvent(0)]]);
  const auditor = spawnAuditor(paths);
  auditor.channel.write(encodeFrame({ t: 'open', checkpoint: null }));
  await once(auditor.channel, 'data');
  auditor.channel.end(encodeFrame({ t: 'append', id: 1, epoch: 0, events: [encodeEvent(makeEvent(1))] }));
  t.strictSame(await auditor.exited, { code: 0, signal: null });
  t.equal((await readVerified(paths)).length, 2);
});

const BAD_TALK: readonly [string, Buffer][] = [
  ['garbage', Buffer.from('GET / HTTP/1.1\r\n\r\n')],
  ['an oversized frame', Buffer.from([255, 255, 255, 255])],
  ['an append before open', encodeFrame({ t: 'append', id: 1, epoch: 0, events: [Buffer.alloc(1)] })],
  ['an unknown message', encodeFrame({ t: 'sign', text: 'x' })],
  [
    'open twice',
    Buffer.concat([encodeFrame({ t: 'open', checkpoint: null }), encodeFrame({ t: 'open', checkpoint: null })]),
  ],
];

test('what is not the protocol on its channel ends it with 1', async (t) => {
  const root = t.testdir();
  const talk = BAD_TALK.map(async ([what, bytes], number) => {
    const auditor = spawnAuditor(pathsBelow(join(root, String(number))));
    auditor.channel.on('error', () => undefined);
    auditor.channel.resume();
    auditor.channel.write(bytes);
    t.strictSame(await auditor.exited, { code: 1, signal: null }, what);
  });
  await Promise.all(talk);
});

test('the last lines and proofs come from the running auditor and verify', async (t) => {
  const paths = pathsBelow(t.testdir());
  const client = makeClient(paths);
  await client.start();
  await Promise.all(Array.from({ length: 50 }, (_, number) => client.append(makeEvent(number))));
  const tail = await client.tail(3);
  t.strictSame(
    tail,
    [47, 48, 49].map((index) => ({ index, ...makeEvent(index) })),
  );
  t.equal((await client.tail(1000)).length, 50);
  const proof = await client.prove(17);
  t.equal(verifyInclusion(proof.entry, proof, proof.checkpoint, readKey(paths)).size, 50);
  await t.rejects(client.prove(50), { code: 'invalid_argument' });
  const { hashes } = await client.proveConsistency(10);
  t.ok(hashes.length > 0);
  await t.rejects(client.proveConsistency(51), { code: 'invalid_argument' });
  await client.close();
  await t.rejects(client.tail(1), { code: 'audit_unavailable' });
});
