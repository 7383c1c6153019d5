import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { test } from 'tap';
import { RECORD } from '../../abi/audit/segment.js';
import type { Fault } from '../../abi/errno.js';
import type { AuditClient, AuditClientOptions } from '../../supervisor/audit-client.js';
import { openDiskFile } from '../../supervisor/auditor/disk-file.js';
import type { LogOptions } from '../../supervisor/auditor/log.js';
import type { AuditorProcess } from '../../supervisor/auditor/spawn.js';
import { preparePrivateDirectory } from '../../supervisor/private-files/directory.js';
import { makeClient, makeEvent, type Paths, pathsBelow, readLog, rowsOf, serviceInProcess } from './log-fixture.js';

interface Harness {
  readonly paths: Paths;
  readonly client: AuditClient;
  /** Resolves at the next change to this state. */
  readonly reached: (state: 'up' | 'down') => Promise<Fault | null>;
  readonly auditors: AuditorProcess[];
  /** While set, the auditor's answers are lost. */
  mute: boolean;
}

async function harness(
  root: string,
  log: Partial<LogOptions> = {},
  more: Partial<AuditClientOptions> = {},
): Promise<Harness> {
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
  const rows = readLog(paths)
    .flatMap(rowsOf)
    .filter((row) => row.type === RECORD.entry);
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
  const types = readLog(paths)
    .flatMap(rowsOf)
    .map((row) => row.type);
  t.strictSame(types, [1, 2, 2, 2, 2, 3]);
  t.equal(readFileSync(paths.checkpointPath, 'utf8'), readLog(paths).flatMap(rowsOf).at(-1)?.payload.toString());
});

test('a turn with more events than a frame holds is split and stays in order', async (t) => {
  const { client, paths } = await harness(t.testdir());
  await client.start();
  for (let number = 0; number < 3000; number += 1) client.record(makeEvent(number));
  t.strictSame(await client.append(makeEvent(3000)), { index: 3000 });
  await client.close();
  t.strictSame(
    loggedNumbers(paths),
    Array.from({ length: 3001 }, (_, number) => number),
  );
});

test('an event that no log takes is refused by name and disturbs nothing', async (t) => {
  const { client } = await harness(t.testdir());
  await client.start();
  await t.rejects(client.append(makeEvent(0, { principal: '' })), { code: 'invalid_argument', field: 'principal' });
  t.throws(() => client.record(makeEvent(0, { time: -1 })), { code: 'invalid_argument', field: 'time' });
  t.strictSame(
    await client.append(makeEvent(1, { resource: 'x'.repeat(9000) })),
    { index: 0 },
    'a long path is cut, not refused',
  );
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
  t.strictSame(
    loggedNumbers(paths),
    Array.from({ length: kept + 1 }, (_, number) => number),
  );
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
