import { rmSync, writeFileSync } from 'node:fs';
import { test } from 'tap';
import { signCheckpoint } from '../../abi/audit/checkpoint.js';
import { decodeEvent } from '../../abi/audit/event.js';
import { EMPTY_ROOT } from '../../abi/audit/merkle.js';
import { formatNoteKey, makeNoteKey } from '../../abi/audit/note.js';
import type { ToSupervisor } from '../../abi/audit/protocol.js';
import { createSigner, generateKeyPair } from '../../abi/audit/signing.js';
import type { Fault } from '../../abi/errno.js';
import { LIMITS } from '../../abi/limits.js';
import { FrameConnection } from '../../bus/connection.js';
import type { AuditorProcess } from '../../supervisor/auditor/spawn.js';
import { preparePrivateDirectory } from '../../supervisor/private-files/directory.js';
import { duplexPair, makeClient, makeEvent, ORIGIN, type Paths, pathsBelow } from './log-fixture.js';

/** An auditor that says what a test wants it to say. */
function scripted(
  answer: (message: { t: string; id: number; events: Buffer[] }, close: () => void) => (ToSupervisor | object)[],
): AuditorProcess {
  const [channel, own] = duplexPair();
  let end: (how: { code: number; signal: null }) => void = () => undefined;
  const exited = new Promise<{ code: number; signal: null }>((resolve) => {
    end = resolve;
  });
  const connection = new FrameConnection(own, { frameBytesMax: LIMITS.auditFrameBytesMax });
  connection.onFrame(
    (value) =>
      void connection.sendMany(answer(value as { t: string; id: number; events: Buffer[] }, () => connection.close())),
  );
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
  const opened = {
    t: 'opened',
    checkpoint: checkpoint(0),
    treeSize: 0,
    recovered: { bytes: 0, entries: 0 },
    proof: [],
  };
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
  const told: string[] = [];
  const onDropped = (dropped: number, fault: Fault) => void told.push(`${dropped} ${fault.code} ${fault.message}`);
  const client = makeClient(paths, { spawn, onDropped });
  await client.start();
  for (let number = 0; number < 5; number += 1) {
    client.record(makeEvent(number, number === 2 ? { principal: 'poison' } : {}));
  }
  while (taken.length < 4) await new Promise((resolve) => setImmediate(resolve));
  await t.rejects(client.append(makeEvent(9, { principal: 'poison' })), { code: 'audit_unavailable' });
  t.strictSame(await client.append(makeEvent(5)), { index: 4 });
  t.equal(client.dropped, 1);
  t.strictSame(told, ['1 quota_exceeded one too many'], 'the operator hears of it');
  for (let number = 0; number < 4; number += 1) client.record(makeEvent(number, { principal: 'poison' }));
  while (client.dropped < 5) await new Promise((resolve) => setImmediate(resolve));
  t.strictSame(
    told.map((line) => Number.parseInt(line, 10)),
    [1, 2, 4],
    'and of many not each time',
  );
  await client.close();
  t.strictSame(
    taken,
    [0, 1, 3, 4, 5].map((number) => makeEvent(number).resource),
  );
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

test('an auditor that dies while its word is being checked is not taken for one that lives', async (t) => {
  const paths = pathsBelow(t.testdir());
  const { checkpoint, opened } = await scriptedLog(paths);
  let spawned = 0;
  const spawn = () => {
    spawned += 1;
    const dies = spawned === 1;
    return scripted((message, close) => {
      if (message.t !== 'open')
        return [{ t: 'ack', id: message.id, firstIndex: 0, treeSize: 1, checkpoint: checkpoint(1) }];
      if (dies) queueMicrotask(close);
      return [opened];
    });
  };
  const client = makeClient(paths, { spawn });
  await client.start();
  t.strictSame(await client.append(makeEvent(0)), { index: 0 });
  t.equal(spawned, 2);
  await client.close();
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
  await t.rejects(start({ checkpoint: checkpoint(3, root), treeSize: 3 }, null), {
    code: 'bad_log',
    field: 'checkpoint',
  });
  await t.rejects(start({ checkpoint: checkpoint(3, root), treeSize: 3 }, checkpoint(2, root)), { code: 'bad_log' });
  await t.rejects(start({ checkpoint: checkpoint(2, root), treeSize: 2 }, checkpoint(2, EMPTY_ROOT)), {
    code: 'bad_log',
  });
  await t.rejects(start({ checkpoint: checkpoint(1, root), treeSize: 1 }, checkpoint(2, root)), { code: 'bad_log' });
  await t.rejects(start({}, foreign), { code: 'bad_log' });
  await t.rejects(start({ t: 'refused', code: 'bad_log', message: 'no' }, null), { code: 'bad_protocol' });
});
