import { spawnSync } from 'node:child_process';
import { appendFileSync, constants, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import fsPromises from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Test, test } from 'tap';
import { commitOverlay } from '../../supervisor/vfs/commit.js';
import { countHeldHandles } from '../../supervisor/vfs/held-dir.js';
import { StorageQuota } from '../../supervisor/vfs/quota.js';
import { rollbackOverlay } from '../../supervisor/vfs/rollback.js';
import { openSessionFiles, type SessionFiles, type SessionFilesOptions } from '../../supervisor/vfs/session-files.js';
import { diskTree, Guest, plant, type Tree } from './session-fixture.js';

const PATCHED = ['rename', 'link', 'mkdir', 'rmdir', 'unlink', 'chmod', 'open'] as const;
type Method = (...args: unknown[]) => Promise<unknown>;

interface Death {
  /** How many calls that change the disk the action made; null when it was killed before its end. */
  readonly calls: number | null;
  /** Lets the killed action go on to fail, so that it gives its handles back. After everything was looked at. */
  bury(): void;
}

/**
 * Stands for SIGKILL without the cost of a process per point: from the n-th call on that changes the disk, no call
 * returns, so nothing that would tidy up runs.
 */
async function killAt(point: number, action: () => Promise<unknown>): Promise<Death> {
  let calls = 0;
  let kill: () => void = () => undefined;
  const death = new Promise<null>((resolve) => {
    kill = () => resolve(null);
  });
  const graves: ((error: Error) => void)[] = [];
  const restore = patchDisk((original, ...args) => {
    calls += 1;
    if (calls < point) return original(...args);
    kill();
    return new Promise((_, reject) => graves.push(reject));
  });
  const running = action();
  running.catch(() => undefined); // buried
  try {
    const outcome = await Promise.race([running.then(() => calls), death]);
    const bury = () => {
      for (const reject of graves) reject(new Error('killed'));
    };
    return { calls: outcome, bury };
  } finally {
    restore();
  }
}

/** Puts `call` before every function of Node that changes the disk. Returns what takes it away again. */
function patchDisk(call: (original: Method, ...args: unknown[]) => Promise<unknown>): () => void {
  const target = fsPromises as unknown as Record<string, Method>;
  const originals = PATCHED.map((name) => [name, target[name] as Method] as const);
  const write = handlePrototype['write'] as Method;
  for (const [name, original] of originals) {
    target[name] = (...args) => {
      const changes = name !== 'open' || (Number(args[1]) & constants.O_CREAT) !== 0;
      return changes ? call(original, ...args) : original(...args);
    };
  }
  handlePrototype['write'] = function (this: unknown, ...args) {
    return call(write.bind(this), ...args);
  };
  syncBuiltinESMExports();
  return () => {
    for (const [name, original] of originals) target[name] = original;
    handlePrototype['write'] = write;
    syncBuiltinESMExports();
  };
}

const someHandle = await fsPromises.open('/dev/null', 'r');
const handlePrototype = Object.getPrototypeOf(someHandle) as Record<string, Method>;
await someHandle.close();

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

const TREE = { f: 'old', 'd/a': '1', 'd/s/c': '3', 'was-file': 'w' };

/** Each line is one call of a guest; the view before and after each is known. */
const CALLS: readonly (readonly ['write' | 'unlink' | 'mkdir', string])[] = [
  ['write', 'f'],
  ['unlink', 'f'],
  ['mkdir', 'n'],
  ['write', 'n/new'],
  ['unlink', 'n/new'],
  ['unlink', 'n'],
  ['unlink', 'd/a'],
  ['unlink', 'd/s/c'],
  ['unlink', 'd/s'],
  ['unlink', 'd'],
  ['mkdir', 'd'],
  ['mkdir', 'd/s'],
  ['write', 'd/a'],
  ['unlink', 'd/a'],
  ['unlink', 'd/s'],
  ['unlink', 'd'],
  ['unlink', 'was-file'],
  ['mkdir', 'was-file'],
];

async function makeCall(files: SessionFiles, [op, path]: (typeof CALLS)[number]): Promise<void> {
  const guest = new Guest(files);
  if (op === 'write') await guest.write(path, `new ${path}`);
  else await guest[op](path);
}

test('a supervisor killed at any point of any call, when it is back, shows the view before or after that call', async (t) => {
  const base = makeBase(t);
  const whole = makeRun(base, 'whole', TREE);
  const workspace = diskTree(whole.workspace);
  const views: string[] = [JSON.stringify(workspace)];
  const files = await openSessionFiles(whole.options);
  const callsOf: number[] = [];
  for (const call of CALLS) {
    callsOf.push((await killAt(Number.POSITIVE_INFINITY, () => makeCall(files, call))).calls ?? 0);
    views.push(JSON.stringify(await new Guest(files).tree()));
  }
  await files.close();
  let points = 0;
  for (const [index, call] of CALLS.entries()) {
    for (let point = 1; point <= (callsOf[index] ?? 0); point++) {
      points += 1;
      const run = makeRun(base, `kill-${index}-${point}`, TREE);
      const session = await openSessionFiles(run.options);
      for (const earlier of CALLS.slice(0, index)) await makeCall(session, earlier);
      const { calls, bury } = await killAt(point, () => makeCall(session, call));
      const what = `${call.join(' ')}, point ${point}`;
      if (calls !== null) t.fail(`${what}: it was not killed`);
      const again = await openSessionFiles(run.options);
      const view = JSON.stringify(await new Guest(again).tree());
      if (view !== views[index] && view !== views[index + 1]) t.fail(`${what}: ${view}`);
      if (JSON.stringify(diskTree(run.workspace)) !== views[0]) t.fail(`${what}: the workspace was touched`);
      const { conflicts } = await commitOverlay(again.overlay);
      if (conflicts.length > 0) t.fail(`${what}: ${conflicts}`);
      if (JSON.stringify(diskTree(run.workspace)) !== view) t.fail(`${what}: the commit differs from the view`);
      await again.close();
      bury();
      await session.close();
      rmSync(join(run.workspace, '..'), { recursive: true });
    }
  }
  t.ok(points > 60, `${points} points`);
  t.equal(countHeldHandles(), 0);
});

async function prepareChanges(base: string, name: string) {
  const run = makeRun(base, name, TREE);
  const files = await openSessionFiles(run.options);
  const guest = new Guest(files);
  await guest.write('f', 'new');
  await guest.write('n/m/x', 'new');
  for (const path of ['d/a', 'd/s/c', 'd/s', 'd', 'was-file']) await guest.unlink(path);
  await guest.write('d', 'a file');
  await guest.write('was-file/y', 'in a directory');
  return { run, files, view: await guest.tree() };
}

for (const name of ['commit', 'rollback'] as const) {
  test(`a ${name} killed at any point, and repeated, ends as if it had not been killed`, async (t) => {
    const base = makeBase(t);
    const before = diskTree(makeRun(base, 'before', TREE).workspace);
    const act = (files: SessionFiles) => (name === 'commit' ? commitOverlay : rollbackOverlay)(files.overlay);
    for (let point = 1; ; point++) {
      const { run, files, view } = await prepareChanges(base, `${point}`);
      const { calls, bury } = await killAt(point, () => act(files));
      const again = await openSessionFiles(run.options);
      for (const [path, content] of Object.entries(diskTree(run.workspace))) {
        if (before[path] !== content && view[path] !== content) t.fail(`point ${point}: ${path} is ${content}`);
      }
      const result = await act(again);
      if ('conflicts' in result && result.conflicts.length > 0) t.fail(`point ${point}: ${result.conflicts}`);
      const wanted = JSON.stringify(name === 'commit' ? view : before);
      if (JSON.stringify(diskTree(run.workspace)) !== wanted) t.fail(`point ${point}: the workspace differs`);
      if (JSON.stringify(await new Guest(again).tree()) !== wanted) t.fail(`point ${point}: the view differs`);
      t.same(readdirSync(join(run.options.stateDir, 'upper')), [], `point ${point}`);
      await again.close();
      bury();
      await files.close();
      if (calls !== null) return t.ok(point > 10, `${point} points`);
    }
  });
}

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
