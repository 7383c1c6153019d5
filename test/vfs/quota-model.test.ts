import { linkSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'tap';
import { adoptLayer } from '../../supervisor/vfs/adopt.js';
import { commitOverlay } from '../../supervisor/vfs/commit.js';
import { openRoot } from '../../supervisor/vfs/held-dir.js';
import { measureTreeBytes, StorageQuota } from '../../supervisor/vfs/quota.js';
import { rollbackOverlay } from '../../supervisor/vfs/rollback.js';
import { openSessionFiles, type SessionFiles, type SessionFilesOptions } from '../../supervisor/vfs/session-files.js';
import { Whiteouts } from '../../supervisor/vfs/whiteout.js';
import { fc } from '../kit/property.js';
import { codeOf, Guest, makePlace, plant } from './session-fixture.js';

const QUOTA_BYTES = 24 * 1024;
const NEVER_NS = 2n ** 62n;

const path = fc.array(fc.constantFrom('a', 'b', 'c'), { minLength: 1, maxLength: 3 }).map((names) => names.join('/'));
const size = fc.constantFrom(0, 1, 3000, 9000);
const made = fc.oneof(
  fc.record({ kind: fc.constant('file' as const), path, size }),
  fc.record({ kind: fc.constant('link' as const), path, size: fc.constantFrom(1, 4000) }),
  fc.record({ kind: fc.constantFrom('directory' as const, 'whiteout' as const, 'twin' as const), path }),
);
const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ op: fc.constant('write' as const), path, size }) },
  { weight: 4, arbitrary: fc.record({ op: fc.constantFrom('unlink' as const, 'mkdir' as const), path }) },
  {
    weight: 4,
    arbitrary: fc.record({ op: fc.constant('command' as const), made: fc.array(made, { minLength: 1, maxLength: 4 }) }),
  },
  { weight: 1, arbitrary: fc.record({ op: fc.constantFrom('commit' as const, 'rollback' as const), path }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('reopen' as const) }) },
);
const lower = fc.dictionary(path, size, { maxKeys: 4 });

type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;
type Made = typeof made extends fc.Arbitrary<infer T> ? T : never;

/** Makes an entry as a command would; what another one is in the way of is left out. */
async function make(layer: string, one: Made): Promise<void> {
  const at = join(layer, one.path);
  try {
    mkdirSync(dirname(at), { recursive: true });
    if (one.kind === 'file') writeFileSync(at, Buffer.alloc(one.size));
    else if (one.kind === 'link') symlinkSync('l'.repeat(one.size), at);
    else if (one.kind === 'directory') mkdirSync(at);
    else if (one.kind === 'whiteout') await makeWhiteout(layer, dirname(at), one.path.split('/').at(-1) ?? '');
    else {
      writeFileSync(`${at}1`, Buffer.alloc(2000), { flag: 'wx' });
      linkSync(`${at}1`, `${at}2`);
    }
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    if (!/EEXIST|ENOTDIR|EISDIR|ENOENT|ENAMETOOLONG/.test(error.message)) throw error;
  }
}

async function makeWhiteout(layer: string, dir: string, name: string): Promise<void> {
  const work = await openRoot(join(layer, '../work'), 'work');
  const directory = await openRoot(dir, 'layer');
  try {
    await new Whiteouts(work).link(directory, name);
  } finally {
    work.close();
    directory.close();
  }
}

/** What a command leaves behind, and how it becomes part of the session. */
async function runCommand(session: SessionFiles, dir: string, entries: readonly Made[]): Promise<void> {
  const layer = join(dir, 'upper');
  mkdirSync(layer, { recursive: true });
  mkdirSync(join(dir, 'work'));
  for (const entry of entries) await make(layer, entry);
  const held = await openRoot(layer, 'layer');
  try {
    await codeOf(adoptLayer(session.overlay, { layer: held, merged: null, sinceNs: NEVER_NS, denied: null }));
  } finally {
    held.close();
  }
}

async function runSteps(options: SessionFilesOptions, quota: StorageQuota, dir: string, steps: readonly Step[]) {
  let session = await openSessionFiles(options);
  try {
    for (const [at, one] of steps.entries()) {
      const guest = new Guest(session);
      if ('made' in one) await runCommand(session, join(dir, `command-${at}`), one.made);
      else if (one.op === 'write') await codeOf(guest.write(one.path, Buffer.alloc(one.size)));
      else if (one.op === 'unlink') await codeOf(guest.unlink(one.path));
      else if (one.op === 'mkdir') await codeOf(guest.mkdir(one.path));
      else if (one.op === 'commit') await commitOverlay(session.overlay, [one.path]);
      else if (one.op === 'rollback') await codeOf(rollbackOverlay(session.overlay, [one.path]));
      else {
        await session.close();
        session = await openSessionFiles(options);
      }
      const measured = await measureTreeBytes(join(options.stateDir, 'upper'));
      if (quota.usedBytes !== measured) {
        throw new Error(`after ${JSON.stringify(one)}: ${quota.usedBytes} bytes are counted, ${measured} are there`);
      }
    }
  } finally {
    await session.close();
  }
}

test('any sequence of calls, commands, commits and rollbacks, also at a full quota, counts what is stored', async (t) => {
  const base = mkdtempSync(join(tmpdir(), 'astrid-vfs-'));
  t.teardown(() => rmSync(base, { recursive: true, force: true }));
  let run = 0;
  await fc.assert(
    fc.asyncProperty(lower, fc.array(step, { minLength: 5, maxLength: 20 }), async (tree, steps) => {
      run += 1;
      const dir = join(base, `${run}`);
      const quota = new StorageQuota(QUOTA_BYTES);
      const options = {
        workspace: join(dir, 'workspace'),
        stateDir: join(dir, 'state'),
        homeDir: join(dir, 'home'),
        tmpDir: join(dir, 'tmp'),
        quota,
      };
      plant(dir, { 'workspace/': '' });
      for (const [name, bytes] of Object.entries(tree)) {
        await make(options.workspace, { kind: 'file', path: name, size: bytes });
      }
      await runSteps(options, quota, dir, steps);
    }),
    { numRuns: 30, endOnFailure: false },
  );
  t.pass('30 sequences');
});

test('a link that a command made, when it is removed, gives back no more than it took', async (t) => {
  const quota = new StorageQuota(1024 * 1024);
  const place = makePlace(t, {}, quota);
  const session = await openSessionFiles(place.options);
  t.teardown(() => session.close());
  const guest = new Guest(session);
  await guest.write('kept', Buffer.alloc(100_000));
  const used = quota.usedBytes;
  await runCommand(session, join(place.dir, 'ln'), [{ kind: 'link', path: 'link', size: 4000 }]);
  t.ok(quota.usedBytes > used);
  await runCommand(session, join(place.dir, 'rm'), [{ kind: 'whiteout', path: 'link' }]);
  t.equal(quota.usedBytes, used);
});
