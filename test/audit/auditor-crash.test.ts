import { execFileSync, type StdioOptions, spawn } from 'node:child_process';
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { test } from 'tap';
import { decodeEntry } from '../../abi/audit/entry.js';
import { RECORD } from '../../abi/audit/segment.js';
import { verifyLog } from '../../abi/audit/verify.js';
import { Fault } from '../../abi/errno.js';
import { type AuditorProcess, spawnAuditor } from '../../supervisor/auditor/spawn.js';
import { makeClient, makeEvent, type Paths, pathsBelow, readKey, readLog, rowsOf, sourcesOf } from './log-fixture.js';

/** The log's resources in order; the log and the stored checkpoint must verify. */
async function readVerified(paths: Paths): Promise<string[]> {
  const known = readFileSync(paths.checkpointPath, 'utf8');
  const segments = readLog(paths);
  const report = await verifyLog(sourcesOf(segments), { key: readKey(paths), known, everySignature: true });
  if (report.firstBad !== null) throw new Error(report.firstBad.message);
  const entries = segments.flatMap((segment) => rowsOf(segment).filter((row) => row.type === RECORD.entry));
  return entries.map((row) => decodeEntry(row.payload).event.resource);
}

/** Spawns like a client does and keeps what was spawned, so that a test can kill it. */
function keeping(paths: Paths) {
  const spawned: AuditorProcess[] = [];
  const spawn = () => {
    const child = spawnAuditor(paths);
    spawned.push(child);
    return child;
  };
  return { spawn, last: () => spawned.at(-1) as AuditorProcess, count: () => spawned.length };
}

test('killed with SIGKILL in a storm of appends, again and again, everything acknowledged is there once and verifies', async (t) => {
  const paths = pathsBelow(t.testdir());
  const auditors = keeping(paths);
  const acknowledged = new Map<number, string>();
  const recorded: string[] = [];
  let wake: () => void = () => undefined;
  const client = makeClient(paths, {
    spawn: auditors.spawn,
    onEntry: ({ index, resource }) => void acknowledged.set(index, resource),
    onStateChange: (state) => state === 'up' && wake(),
  });
  await client.start();
  let number = 0;
  let refused = 0;
  for (let round = 0; round < 3; round += 1) {
    const killAt = client.treeSize + 150;
    const up = new Promise<void>((resolve) => {
      wake = resolve;
    });
    const storm = async () => {
      while (client.state === 'up') {
        const event = makeEvent(number++);
        const record = makeEvent(number++, { outcome: 'done' });
        client.record(record);
        recorded.push(record.resource);
        await client.append(event).catch((fault) => {
          t.equal((fault as Fault).code, 'audit_unavailable');
          refused += 1;
        });
        if (client.treeSize > killAt) process.kill(auditors.last().pid, 'SIGKILL');
      }
    };
    await Promise.all(Array.from({ length: 20 }, storm));
    await t.rejects(client.append(makeEvent(0)), { code: 'audit_unavailable' }, 'refused at once while it is down');
    await up;
  }
  t.equal(auditors.count(), 4);
  t.ok(refused > 0, 'those on their way were refused');
  await client.append(makeEvent(number));
  t.strictSame(await client.close(), { unwritten: 0 });
  const logged = await readVerified(paths);
  t.ok([...acknowledged].every(([index, resource]) => logged[index] === resource));
  const counts = new Map<string, number>();
  for (const resource of logged) counts.set(resource, (counts.get(resource) ?? 0) + 1);
  t.ok(
    recorded.every((resource) => counts.get(resource) === 1),
    'each record is there exactly once',
  );
});

/** Through `env -i`: the test runner loads code into Node's children that ends them on the very signal this test causes. */
function spawnBare(paths: Paths): AuditorProcess {
  const main = fileURLToPath(new URL('../../supervisor/auditor/main.js', import.meta.url));
  const options = ['--log-dir', paths.logDir, '--key', paths.keyPath, '--pub', paths.pubPath, '--origin', paths.origin];
  const stdio: StdioOptions = ['ignore', 'inherit', 'inherit', 'pipe'];
  const child = spawn('env', ['-i', process.execPath, main, ...options], { stdio });
  const exited = new Promise<{ code: number | null; signal: string | null }>((resolve) => {
    child.once('exit', (code, signal) => resolve({ code, signal }));
  });
  return { pid: child.pid ?? 0, channel: child.stdio[3] as Duplex, kill: () => void child.kill('SIGKILL'), exited };
}

const prlimit = ((): boolean => {
  try {
    execFileSync('prlimit', ['--version']);
    return true;
  } catch {
    return false;
  }
})();

// A file size limit stands for the full disk: the write stops in the middle with an error, as it does with ENOSPC.
test('a disk that is full refuses appends, and takes them and the kept records again when there is room', {
  skip: !prlimit && 'no prlimit',
}, async (t) => {
  const paths = pathsBelow(t.testdir());
  const client = makeClient(paths, { spawn: () => spawnBare(paths) });
  await client.start();
  for (let number = 0; number < 5; number += 1) await client.append(makeEvent(number));
  const { pid } = client;
  const size = statSync(join(paths.logDir, 'segment-000000000000000.log')).size;
  execFileSync('prlimit', ['--pid', String(pid), `--fsize=${size + 100}:`]);
  client.record(makeEvent(100, { outcome: 'done' }));
  for (let number = 5; number < 8; number += 1) {
    const fault = await client.append(makeEvent(number)).catch((thrown: Fault) => thrown);
    t.ok(fault instanceof Fault && fault.code === 'audit_unavailable');
    t.equal((fault as { cause?: Fault }).cause?.code, 'no_space');
    t.equal(
      statSync(join(paths.logDir, 'segment-000000000000000.log')).size,
      size,
      'the part that was written is gone',
    );
  }
  execFileSync('prlimit', ['--pid', String(pid), '--fsize=unlimited:']);
  t.strictSame(await client.append(makeEvent(8)), { index: 6 });
  t.equal(client.pid, pid, 'it stayed alive');
  await client.close();
  t.strictSame(
    await readVerified(paths),
    [0, 1, 2, 3, 4, 100, 8].map((number) => makeEvent(number).resource),
  );
});
