import { spawnSync } from 'node:child_process';
import { appendFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import fsPromises from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Test, test } from 'tap';
import { commitOverlay } from '../../supervisor/vfs/commit.js';
import { StorageQuota } from '../../supervisor/vfs/quota.js';
import { rollbackOverlay } from '../../supervisor/vfs/rollback.js';
import { openSessionFiles, type SessionFiles, type SessionFilesOptions } from '../../supervisor/vfs/session-files.js';
import { diskTree, Guest, plant, type Tree } from './session-fixture.js';

type Patched = 'rename' | 'link' | 'mkdir' | 'rmdir' | 'unlink' | 'chmod' | 'open';
const PATCHED: readonly Patched[] = ['rename', 'link', 'mkdir', 'rmdir', 'unlink', 'chmod', 'open'];

/**
 * Stands for SIGKILL without the cost of a process per point: from the n-th call on that changes the disk, no call ever
 * returns, so nothing that would tidy up runs. Returns how many such calls the action made, if it got to its end.
 */
async function killAt(point: number, action: () => Promise<void>): Promise<number | 'killed'> {
  let calls = 0;
  const originals = Object.fromEntries(PATCHED.map((name) => [name, fsPromises[name]]));
  let killed: () => void = () => undefined;
  const death = new Promise<'killed'>((resolve) => {
    killed = () => resolve('killed');
  });
  const target = fsPromises as unknown as Record<string, unknown>;
  for (const name of PATCHED) {
    const original = fsPromises[name] as (...args: unknown[]) => Promise<unknown>;
    target[name] = (...args: unknown[]) => {
      calls += 1;
      if (calls < point) return original(...args);
      killed();
      return new Promise(() => undefined);
    };
  }
  syncBuiltinESMExports();
  try {
    return await Promise.race([action().then(() => calls), death]);
  } finally {
    Object.assign(target, originals);
    syncBuiltinESMExports();
  }
}

interface Run {
  readonly options: SessionFilesOptions;
  readonly workspace: string;
}

function makeRun(base: string, name: string, tree: Tree): Run {
  const dir = join(base, name);
  const workspace = join(dir, 'workspace');
  plant(dir, { 'workspace/': '' });
  plant(workspace, tree);
  const quota = new StorageQuota(1e9);
  return {
    workspace,
    options: { workspace, stateDir: join(dir, 'state'), homeDir: join(dir, 'home'), tmpDir: join(dir, 'tmp'), quota },
  };
}

function makeBase(t: Test): string {
  const base = mkdtempSync(join(tmpdir(), 'astrid-vfs-'));
  t.teardown(() => rmSync(base, { recursive: true, force: true }));
  return base;
}

async function viewOf(options: SessionFilesOptions): Promise<Record<string, string>> {
  const files = await openSessionFiles(options);
  try {
    return await new Guest(files).tree();
  } finally {
    await files.close();
  }
}

const TREE = { f: 'old', 'd/a': '1', 'd/b': '2', 'd/s/c': '3', 'was-file': 'w' };

/** Each line is one call of a guest; the view before and after each is known. */
const CALLS: readonly (readonly ['write' | 'unlink' | 'mkdir', string])[] = [
  ['write', 'f'],
  ['unlink', 'f'],
  ['write', 'n/m/new'],
  ['unlink', 'n/m/new'],
  ['unlink', 'n/m'],
  ['unlink', 'd/a'],
  ['unlink', 'd/b'],
  ['unlink', 'd/s/c'],
  ['unlink', 'd/s'],
  ['unlink', 'd'],
  ['write', 'd/s/again'],
  ['unlink', 'd/s/again'],
  ['unlink', 'd/s'],
  ['unlink', 'd'],
  ['mkdir', 'd'],
  ['unlink', 'was-file'],
  ['mkdir', 'was-file'],
  ['write', 'was-file/x'],
];

async function makeCall(files: SessionFiles, [op, path]: (typeof CALLS)[number]): Promise<void> {
  const guest = new Guest(files);
  if (op === 'write') await guest.write(path, `new ${path}`);
  else await guest[op](path);
}

test('a supervisor killed at any point of any call, when it is back, shows the view before or after that call', async (t) => {
  const base = makeBase(t);
  const workspace = diskTree(makeRun(base, 'original', TREE).workspace);
  const views: string[] = [JSON.stringify(workspace)];
  const whole = makeRun(base, 'whole', TREE);
  const files = await openSessionFiles(whole.options);
  const callsUntil: number[] = [];
  for (const call of CALLS) {
    const made = await killAt(Number.POSITIVE_INFINITY, () => makeCall(files, call));
    callsUntil.push(Number(made));
    views.push(JSON.stringify(await new Guest(files).tree()));
  }
  await files.close();
  let points = 0;
  for (const [index, call] of CALLS.entries()) {
    for (let point = 1; point <= (callsUntil[index] ?? 0); point++) {
      points += 1;
      const run = makeRun(base, `kill-${index}-${point}`, TREE);
      const session = await openSessionFiles(run.options);
      for (const earlier of CALLS.slice(0, index)) await makeCall(session, earlier);
      if ((await killAt(point, () => makeCall(session, call))) !== 'killed') throw new Error('it was not killed');
      const what = `${call.join(' ')}, point ${point}`;
      const view = JSON.stringify(await viewOf(run.options));
      if (view !== views[index] && view !== views[index + 1]) t.fail(`${what}: ${view}`);
      t.same(diskTree(run.workspace), workspace, `${what}: the workspace is untouched`);
      const after = await openSessionFiles(run.options);
      const { conflicts } = await commitOverlay(after.overlay);
      t.same(conflicts, [], what);
      t.equal(JSON.stringify(diskTree(run.workspace)), view, `${what}: what is seen can be committed`);
      await after.close();
      rmSync(join(run.workspace, '..'), { recursive: true });
    }
  }
  t.ok(points > 60, `${points} points`);
});

test('a commit or a rollback killed at any point, and repeated, ends as if it had not been killed', async (t) => {
  const base = makeBase(t);
  const prepare = async (name: string) => {
    const run = makeRun(base, name, TREE);
    const files = await openSessionFiles(run.options);
    const guest = new Guest(files);
    await guest.write('f', 'new');
    await guest.write('n/m/x', 'new');
    for (const path of ['d/a', 'd/b', 'd/s/c', 'd/s', 'd', 'was-file']) await guest.unlink(path);
    await guest.write('d', 'a file');
    await guest.write('was-file/y', 'in a directory');
    return { run, files, view: await guest.tree() };
  };
  const before = JSON.stringify(diskTree(makeRun(base, 'before', TREE).workspace));
  for (const [name, action] of [
    ['commit', async (files: SessionFiles) => commitOverlay(files.overlay)],
    ['rollback', async (files: SessionFiles) => rollbackOverlay(files.overlay)],
  ] as const) {
    for (let point = 1; ; point++) {
      const { run, files, view } = await prepare(`${name}-${point}`);
      const outcome = await killAt(point, async () => {
        await action(files);
      });
      const again = await openSessionFiles(run.options);
      const half = diskTree(run.workspace);
      for (const [path, content] of Object.entries(half)) {
        const known = [(JSON.parse(before) as Tree)[path], view[path]];
        if (!known.includes(content)) t.fail(`${name} ${point}: ${path} is ${content}`);
      }
      const result = await action(again);
      if ('conflicts' in result) t.same(result.conflicts, [], `${name}, point ${point}`);
      const wanted = name === 'commit' ? JSON.stringify(view) : before;
      t.equal(JSON.stringify(diskTree(run.workspace)), wanted, `${name}, point ${point}`);
      t.equal(JSON.stringify(await new Guest(again).tree()), wanted);
      t.same(readdirSync(join(run.options.stateDir, 'upper')), []);
      await again.close();
      if (outcome !== 'killed') {
        await files.close();
        t.ok(point > 10, `${point} points`);
        break;
      }
    }
  }
});

const STEPS = ['staged', 'checked', 'applied', 'forgotten', 'cleared'] as const;

test('a commit ended by a real SIGKILL between its steps leaves old or new content, and a repeated one finishes', async (t) => {
  const base = makeBase(t);
  const session = new URL('../../supervisor/vfs/session-files.js', import.meta.url).href;
  const commit = new URL('../../supervisor/vfs/commit.js', import.meta.url).href;
  const script = `
    const [options, step] = JSON.parse(process.argv[1]);
    const { openSessionFiles } = await import(${JSON.stringify(session)});
    const { commitOverlay } = await import(${JSON.stringify(commit)});
    const quota = { take() {}, give() {} };
    const files = await openSessionFiles({ ...options, quota });
    await files.overlay.writeFile(['f'], Buffer.from('new'));
    await commitOverlay(files.overlay, undefined, (at) => {
      if (at === step) process.kill(process.pid, 'SIGKILL');
    });
  `;
  for (const step of STEPS) {
    const { options, workspace } = makeRun(base, step, { f: 'old' });
    const args = ['--input-type=module', '-e', script, JSON.stringify([options, step])];
    t.equal(spawnSync(process.execPath, args).signal, 'SIGKILL', step);
    const now = readFileSync(join(workspace, 'f'), 'utf8');
    t.equal(now, step === 'staged' || step === 'checked' ? 'old' : 'new', step);
    const files = await openSessionFiles(options);
    t.same(readdirSync(workspace), ['f'], 'the half-written file is gone when the session is back');
    t.same((await commitOverlay(files.overlay)).conflicts, []);
    t.equal(readFileSync(join(workspace, 'f'), 'utf8'), 'new');
    t.same(readdirSync(join(options.stateDir, 'upper')), []);
    await files.close();
  }
});

test('records with a torn end, or a damaged line, fail closed: what they spoke of is a conflict', async (t) => {
  const base = makeBase(t);
  const { options, workspace } = makeRun(base, 'torn', { a: 'a', b: 'b', c: 'c' });
  const first = await openSessionFiles(options);
  for (const name of ['a', 'b', 'c']) await first.overlay.writeFile([name], Buffer.from('new'));
  await first.close();
  const log = join(options.stateDir, 'meta/base.jsonl');
  const lines = readFileSync(log, 'utf8').split('\n');
  t.equal(lines.length, 4);
  writeFileSync(log, `${lines[0]}\n${lines[1]?.replace('"size"', '"sise"')}\n${lines[2]}\n{"base":"d","was":{"ki`);
  const second = await openSessionFiles(options);
  t.same(await commitOverlay(second.overlay), { committed: ['a', 'c'], conflicts: ['b'] });
  t.equal(readFileSync(join(workspace, 'b'), 'utf8'), 'b');
  await second.close();
  appendFileSync(log, 'not json\n');
  const third = await openSessionFiles(options);
  await third.overlay.writeFile(['e'], Buffer.from('x'));
  t.same((await commitOverlay(third.overlay, ['e'])).committed, ['e']);
  await third.close();
  const forged = JSON.stringify({ temp: '../outside' });
  appendFileSync(log, `${forged}\n${JSON.stringify({ temp: 'b' })}\n`);
  await (await openSessionFiles(options)).close();
  t.equal(readFileSync(join(workspace, 'b'), 'utf8'), 'b', 'only names that a commit makes are ever removed');
});
