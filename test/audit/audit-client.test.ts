import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { test } from 'tap';
import { signCheckpoint } from '../../abi/audit/checkpoint.js';
import { decodeEvent } from '../../abi/audit/event.js';
import { EMPTY_ROOT } from '../../abi/audit/merkle.js';
import { formatNoteKey, makeNoteKey } from '../../abi/audit/note.js';
import type { ToSupervisor } from '../../abi/audit/protocol.js';
import { RECORD } from '../../abi/audit/segment.js';
import { createSigner, generateKeyPair } from '../../abi/audit/signing.js';
import type { Fault } from '../../abi/errno.js';
import { LIMITS } from '../../abi/limits.js';
import { FrameConnection } from '../../bus/connection.js';
import type { AuditClient, AuditClientOptions } from '../../supervisor/audit-client.js';
import { preparePrivateDirectory } from '../../supervisor/auditor/directory.js';
import { openDiskFile } from '../../supervisor/auditor/disk-file.js';
import type { LogOptions } from '../../supervisor/auditor/log.js';
import type { AuditorProcess } from '../../supervisor/auditor/spawn.js';
import {
  duplexPair,
  makeClient,
  makeEvent,
  ORIGIN,
  type Paths,
  pathsBelow,
  readLog,
  rowsOf,
  serviceInProcess,
} from './log-fixture.js';

interface Harness {
  readonly paths: Paths;
  readonly client: AuditClient;
  /** Resolves at the next change to this state. */
  readonly reached: (state: 'up' | 'down') => Promise<Fault | null>;
  readonly auditors: AuditorProcess[];
  /** While set, the auditor's answers are lost. */
  mute: boolean;
}

async function harness(root: string, log: Partial<LogOptions> = {}, more: Partial<AuditClientOptions> = {}): Promise<Harness> {
  const paths = pathsBelow(root);
  await preparePrivateDirectory(paths.logDir);
  const auditors: AuditorProcess[] = [];
  const waiting: { state: string; resolve: (fault: Fault | null) => void }[] = [];
  const made: Harness = {
    paths,
    auditors,
    mute: false,
    reached: (state) => new Promise((resolve) => waiting.push({ state, resolve })),
    client: makeClient(paths, {
      spawn: () => {
        const auditor = serviceInProcess(paths, log, () => !made.mute);
        auditors.push(auditor);
        return auditor;
      },
      onStateChange: (state, fault) => {
        for (const one of waiting.filter((waiter) => waiter.state === state)) {
          waiting.splice(waiting.indexOf(one), 1);
          one.resolve(fault);
        }
      },
      ...more,
    }),
  };
  return made;
}

function loggedNumbers(paths: Paths): number[] {
  const rows = readLog(paths).flatMap(rowsOf).filter((row) => row.type === RECORD.entry);
  return rows.map((row) => Number(/notes\/(\d+)/.exec(row.payload.toString('latin1'))?.[1]));
}

test('everything of one turn goes in one batch under one checkpoint, records in front of the append behind them', async (t) => {
  const seen: number[] = [];
  const { client, paths } = await harness(t.testdir(), {}, { onEntry: ({ index }) => void seen.push(index) });
  t.strictSame(await client.start(), { treeSize: 0, recovered: { bytes: 0, entries: 0 } });
  client.record(makeEvent(0));
  client.record(makeEvent(1));
  const answers = await Promise.all([client.append(makeEvent(2)), client.append(makeEvent(3))]);
  t.strictSame(answers, [{ index: 2 }, { index: 3 }]);
  t.strictSame(seen, [0, 1, 2, 3]);
  t.equal(client.treeSize, 4);
  t.strictSame(await client.close(), { unwritten: 0 });
  const types = readLog(paths).flatMap(rowsOf).map((row) => row.type);
  t.strictSame(types, [1, 2, 2, 2, 2, 3]);
  t.equal(readFileSync(paths.checkpointPath, 'utf8'), readLog(paths).flatMap(rowsOf).at(-1)?.payload.toString());
});

test('a turn with more events than a frame holds is split and stays in order', async (t) => {
  const { client, paths } = await harness(t.testdir());
  await client.start();
  for (let number = 0; number < 3000; number += 1) client.record(makeEvent(number));
  t.strictSame(await client.append(makeEvent(3000)), { index: 3000 });
  await client.close();
  t.strictSame(loggedNumbers(paths), Array.from({ length: 3001 }, (_, number) => number));
});

test('an event that no log takes is refused by name and disturbs nothing', async (t) => {
  const { client } = await harness(t.testdir());
  await client.start();
  await t.rejects(client.append(makeEvent(0, { principal: '' })), { code: 'invalid_argument', field: 'principal' });
  t.throws(() => client.record(makeEvent(0, { time: -1 })), { code: 'invalid_argument', field: 'time' });
  t.strictSame(await client.append(makeEvent(1, { resource: 'x'.repeat(9000) })), { index: 0 }, 'a long path is cut, not refused');
  await client.close();
});

test('before its start and after its end it takes nothing', async (t) => {
  const { client } = await harness(t.testdir());
  await t.rejects(client.append(makeEvent(0)), { code: 'audit_unavailable' });
  t.throws(() => client.record(makeEvent(0)), { code: 'audit_unavailable' });
  await client.start();
  await client.close();
  await t.rejects(client.append(makeEvent(0)), { code: 'audit_unavailable' });
  t.equal(client.state, 'down');
  t.equal(client.pid, null);
  await client.close();
});

test('an auditor that dies: appends are refused, records are kept and logged once by the next one', async (t) => {
  const { client, paths, auditors, reached } = await harness(t.testdir());
  await client.start();
  await client.append(makeEvent(0));
  client.record(makeEvent(1));
  const pending = client.append(makeEvent(2));
  const [down, up] = [reached('down'), reached('up')];
  auditors[0]?.kill();
  await t.rejects(pending, { code: 'audit_unavailable' });
  t.equal((await down)?.code, 'connection_closed');
  t.equal(client.state, 'down');
  await t.rejects(client.append(makeEvent(3)), { code: 'audit_unavailable' });
  client.record(makeEvent(4));
  await up;
  t.strictSame(await client.append(makeEvent(5)), { index: 3 });
  t.equal(auditors.length, 2);
  await client.close();
  t.strictSame(loggedNumbers(paths), [0, 1, 4, 5]);
});

test('an auditor that dies after the write and before the answer: nothing is logged twice', async (t) => {
  const told: [number, string][] = [];
  const made = await harness(t.testdir(), {}, { onEntry: ({ index, resource }) => void told.push([index, resource]) });
  const { client, paths, auditors, reached } = made;
  await client.start();
  await client.append(makeEvent(0));
  made.mute = true;
  client.record(makeEvent(1));
  const pending = client.append(makeEvent(2));
  client.record(makeEvent(3));
  // The write is done when the file has it; its answer was lost.
  while (loggedNumbers(paths).length < 4) await new Promise((resolve) => setImmediate(resolve));
  client.record(makeEvent(4));
  const up = reached('up');
  made.mute = false;
  auditors[0]?.kill();
  await t.rejects(pending, { code: 'audit_unavailable' });
  await up;
  await client.append(makeEvent(5));
  await client.close();
  t.strictSame(loggedNumbers(paths), [0, 1, 2, 3, 4, 5]);
  t.strictSame(
    told,
    [0, 1, 2, 3, 4, 5].map((number) => [number, makeEvent(number).resource]),
    'each told once',
  );
});

test('a disk that is full: the append is refused, the record stays in front of what comes later', async (t) => {
  let full = false;
  const openFile: LogOptions['openFile'] = (path, mode) => {
    const file = openDiskFile(path, mode);
    const write = file.write.bind(file);
    file.write = (bytes, position) => {
      if (full) throw Object.assign(new Error('full'), { code: 'ENOSPC' });
      write(bytes, position);
    };
    return file;
  };
  const { client, paths, auditors } = await harness(t.testdir(), { openFile });
  await client.start();
  await client.append(makeEvent(0));
  full = true;
  client.record(makeEvent(1));
  await t.rejects(client.append(makeEvent(2)), { code: 'audit_unavailable', cause: { code: 'no_space' } });
  client.record(makeEvent(3));
  full = false;
  t.strictSame(await client.append(makeEvent(4)), { index: 3 });
  t.equal(auditors.length, 1, 'it stayed alive');
  await client.close();
  t.strictSame(loggedNumbers(paths), [0, 1, 3, 4]);
});

test('records that wait are tried again without a new append', async (t) => {
  let failures = 2;
  const openFile: LogOptions['openFile'] = (path, mode) => {
    const file = openDiskFile(path, mode);
    const write = file.write.bind(file);
    file.write = (bytes, position) => {
      if (path.includes('segment-') && failures-- > 0) throw Object.assign(new Error('full'), { code: 'ENOSPC' });
      write(bytes, position);
    };
    return file;
  };
  let arrived: () => void = () => undefined;
  const entry = new Promise<void>((resolve) => {
    arrived = resolve;
  });
  const { client } = await harness(t.testdir(), { openFile }, { onEntry: () => arrived() });
  await client.start();
  client.record(makeEvent(0));
  await entry;
  t.equal(failures, -1);
  await client.close();
});

test('too much waiting for an auditor that is down: record refuses until the backlog is in the log', async (t) => {
  const { client, paths, auditors, reached } = await harness(t.testdir());
  await client.start();
  const [down, up] = [reached('down'), reached('up')];
  auditors[0]?.kill();
  await down;
  let kept = 0;
  const wide = 'x'.repeat(1000);
  t.throws(
    () => {
      for (; kept < 100_000; kept += 1) client.record(makeEvent(kept, { resource: `notes/${kept}/${wide}` }));
    },
    { code: 'audit_unavailable' },
  );
  t.ok(client.degraded);
  t.ok(kept > 1000 && kept < 20_000, `${kept} were kept`);
  await up;
  t.strictSame(await client.append(makeEvent(0)).catch(() => 'still too many'), 'still too many');
  while (client.degraded) await new Promise((resolve) => setImmediate(resolve));
  await client.append(makeEvent(kept));
  await client.close();
  t.strictSame(loggedNumbers(paths), Array.from({ length: kept + 1 }, (_, number) => number));
});

test('a checkpoint that cannot be stored stops appends until it can', async (t) => {
  const { client, paths } = await harness(t.testdir());
  await client.start();
  const draft = `${paths.checkpointPath}.new`;
  mkdirSync(draft);
  await client.append(makeEvent(0));
  let refused: Fault | null = null;
  while (refused === null) {
    refused = await client.append(makeEvent(1)).then(
      () => null,
      (fault: Fault) => fault,
    );
  }
  t.equal(refused.code, 'audit_unavailable');
  t.equal((refused.cause as Fault).code, 'io_error');
  rmSync(draft, { recursive: true });
  let index = -1;
  while (index < 0) {
    index = await client.append(makeEvent(2)).then(
      (answer) => answer.index,
      () => new Promise<number>((resolve) => setImmediate(() => resolve(-1))),
    );
  }
  await client.close();
  t.match(readFileSync(paths.checkpointPath, 'utf8'), new RegExp(`\n${index + 1}\n`));
});

/** An auditor that says what a test wants it to say. */
function scripted(answer: (message: { t: string; id: number; events: Buffer[] }) => (ToSupervisor | object)[]): AuditorProcess {
  const [channel, own] = duplexPair();
  let end: (how: { code: number; signal: null }) => void = () => undefined;
  const exited = new Promise<{ code: number; signal: null }>((resolve) => {
    end = resolve;
  });
  const connection = new FrameConnection(own, { frameBytesMax: LIMITS.auditFrameBytesMax });
  connection.onFrame((value) => void connection.sendMany(answer(value as { t: string; id: number; events: Buffer[] })));
  connection.onClose(() => end({ code: 0, signal: null }));
  return { pid: 1, channel, kill: () => connection.destroy(), exited };
}

async function scriptedLog(paths: Paths) {
  await preparePrivateDirectory(`${paths.keyPath}/..`);
  const pair = await generateKeyPair();
  const key = makeNoteKey(ORIGIN, pair.public);
  writeFileSync(paths.pubPath, `${formatNoteKey(key)}\n`);
  const signer = createSigner(pair.secret);
  const checkpoint = (size: number, root = EMPTY_ROOT) => signCheckpoint(size, root, key, signer);
  const opened = { t: 'opened', checkpoint: checkpoint(0), treeSize: 0, recovered: { bytes: 0, entries: 0 }, proof: [] };
  return { checkpoint, opened };
}

test('one event that the auditor does not take is found and dropped, the others get through', async (t) => {
  const paths = pathsBelow(t.testdir());
  const { checkpoint, opened } = await scriptedLog(paths);
  const taken: string[] = [];
  let epoch = 0;
  const spawn = () =>
    scripted((message) => {
      if (message.t === 'open') return [opened];
      const { id, events } = message;
      if ((message as { epoch?: number }).epoch !== epoch) return [{ t: 'nack', id, code: 'cancelled', message: '' }];
      const decoded = events.map((event) => decodeEvent(event, 0));
      if (decoded.some((event) => event.principal === 'poison')) {
        epoch += 1;
        return [{ t: 'nack', id, code: 'quota_exceeded', message: 'one too many' }];
      }
      const firstIndex = taken.length;
      taken.push(...decoded.map((event) => event.resource));
      return [{ t: 'ack', id, firstIndex, treeSize: taken.length, checkpoint: checkpoint(taken.length) }];
    });
  const client = makeClient(paths, { spawn });
  await client.start();
  for (let number = 0; number < 5; number += 1) {
    client.record(makeEvent(number, number === 2 ? { principal: 'poison' } : {}));
  }
  while (taken.length < 4) await new Promise((resolve) => setImmediate(resolve));
  await t.rejects(client.append(makeEvent(9, { principal: 'poison' })), { code: 'audit_unavailable' });
  t.strictSame(await client.append(makeEvent(5)), { index: 4 });
  t.equal(client.dropped, 1);
  await client.close();
  t.strictSame(taken, [0, 1, 3, 4, 5].map((number) => makeEvent(number).resource));
});

test('an auditor that acknowledges what was not sent, or answers unasked, is ended', async (t) => {
  const wrong: ((id: number, checkpoint: string) => object)[] = [
    (id, checkpoint) => ({ t: 'ack', id: id + 1, firstIndex: 0, treeSize: 1, checkpoint }),
    (id, checkpoint) => ({ t: 'ack', id, firstIndex: 5, treeSize: 6, checkpoint }),
    (id, checkpoint) => ({ t: 'ack', id, firstIndex: 0, treeSize: 0, checkpoint }),
    (id) => ({ t: 'entries', id, entries: [], last: true }),
    () => ({ t: 'refused', code: 'bad_log', message: 'late' }),
    () => ({ t: 'ack' }),
  ];
  for (const [number, answer] of wrong.entries()) {
    const paths = pathsBelow(t.testdir({}));
    const { checkpoint, opened } = await scriptedLog(paths);
    rmSync(paths.checkpointPath, { force: true });
    const faults: (Fault | null)[] = [];
    const client = makeClient(paths, {
      spawn: () => scripted((message) => [message.t === 'open' ? opened : answer(message.id, checkpoint(1))]),
      onStateChange: (state, fault) => void (state === 'down' && faults.push(fault)),
    });
    await client.start();
    await t.rejects(client.append(makeEvent(0)), { code: 'audit_unavailable' }, `answer ${number}`);
    t.equal(faults[0]?.code, 'bad_protocol');
    await client.close();
  }
});

test('an auditor that does not answer is ended after its time', async (t) => {
  const paths = pathsBelow(t.testdir());
  const { opened } = await scriptedLog(paths);
  const faults: (Fault | null)[] = [];
  const client = makeClient(paths, {
    spawn: () => scripted((message) => (message.t === 'open' ? [opened] : [])),
    onStateChange: (state, fault) => void (state === 'down' && faults.push(fault)),
    ackWaitMs: 20,
  });
  await client.start();
  await t.rejects(client.append(makeEvent(0)), { code: 'audit_unavailable' });
  t.equal(faults[0]?.code, 'timed_out');
  await client.close();
});

test('an auditor whose word is not signed by the pinned key, or does not extend what is known, is not believed', async (t) => {
  const paths = pathsBelow(t.testdir());
  const { checkpoint, opened } = await scriptedLog(paths);
  const pair = await generateKeyPair();
  const foreign = signCheckpoint(0, EMPTY_ROOT, makeNoteKey(ORIGIN, pair.public), createSigner(pair.secret));
  const start = (say: object, known: string | null) => {
    rmSync(paths.checkpointPath, { force: true });
    if (known !== null) writeFileSync(paths.checkpointPath, known);
    return makeClient(paths, { spawn: () => scripted(() => [{ ...opened, ...say }]) }).start();
  };
  const root = Buffer.alloc(32, 1);
  await t.rejects(start({ checkpoint: foreign }, null), { code: 'bad_log', field: 'key' });
  await t.rejects(start({ treeSize: 3 }, null), { code: 'bad_log' });
  await t.rejects(start({ checkpoint: checkpoint(3, root), treeSize: 3 }, null), { code: 'bad_log', field: 'checkpoint' });
  await t.rejects(start({ checkpoint: checkpoint(3, root), treeSize: 3 }, checkpoint(2, root)), { code: 'bad_log' });
  await t.rejects(start({ checkpoint: checkpoint(2, root), treeSize: 2 }, checkpoint(2, EMPTY_ROOT)), { code: 'bad_log' });
  await t.rejects(start({ checkpoint: checkpoint(1, root), treeSize: 1 }, checkpoint(2, root)), { code: 'bad_log' });
  await t.rejects(start({}, foreign), { code: 'bad_log' });
  await t.rejects(start({ t: 'refused', code: 'bad_log', message: 'no' }, null), { code: 'bad_protocol' });
});
