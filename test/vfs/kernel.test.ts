import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Test, test } from 'tap';
import { StorageQuota } from '../../supervisor/vfs/quota.js';
import { openSessionFiles, type SessionFilesOptions } from '../../supervisor/vfs/session-files.js';
import { fc } from '../kit/property.js';
import { codeOf, Guest, plant, type Tree } from './session-fixture.js';

/** Runs in a mount namespace of its own: mounts every case, runs its script in there, and prints what is to be seen. */
const DUMPER = `
  const fs = require('node:fs'), path = require('node:path'), { execFileSync } = require('node:child_process');
  const dump = (root, prefix = '', found = {}) => {
    for (const row of fs.readdirSync(path.join(root, prefix), { withFileTypes: true })) {
      const at = prefix + row.name;
      if (row.isSymbolicLink()) found[at] = '-> ' + fs.readlinkSync(path.join(root, at));
      else if (row.isDirectory()) { found[at + '/'] = ''; dump(root, at + '/', found); }
      else found[at] = fs.readFileSync(path.join(root, at), 'utf8');
    }
    return found;
  };
  const [script, more, ...cases] = process.argv.slice(1);
  const seen = cases.map((dir) => {
    const at = (name) => path.join(dir, name);
    const options = 'lowerdir=' + at('workspace') + ',upperdir=' + at('state/upper') + ',workdir=' + at('state/work') + more;
    execFileSync('mount', ['-t', 'overlay', 'overlay', '-o', options, at('merged')], { stdio: ['ignore', 'ignore', 'inherit'] });
    if (script !== '') execFileSync('sh', ['-ec', script], { cwd: at('merged'), stdio: ['ignore', 'ignore', 'inherit'] });
    const tree = dump(at('merged'));
    execFileSync('umount', [at('merged')]);
    fs.chmodSync(at('state/work/work'), 0o700); // the kernel's own, which only root could remove otherwise
    return tree;
  });
  process.stdout.write(JSON.stringify(seen));
`;

function seeThroughKernel(cases: readonly string[], script = ''): Record<string, string>[] | string {
  // In a user namespace the kernel may not use the trusted attributes, and keeps its marks in the user's.
  const [flags, more] = process.getuid?.() === 0 ? ['-m', ''] : ['-rm', ',userxattr'];
  const args = [flags, process.execPath, '-e', DUMPER, script, more, ...cases];
  const result = spawnSync('unshare', args, { encoding: 'utf8' });
  if (result.error !== undefined) return result.error.message;
  return result.status === 0 ? JSON.parse(result.stdout) : result.stderr.trim();
}

function makeCase(base: string, name: string, tree: Tree): { dir: string; options: SessionFilesOptions } {
  const dir = join(base, name);
  for (const part of ['workspace', 'merged', 'state/upper', 'state/work', 'state/meta']) {
    mkdirSync(join(dir, part), { recursive: true });
  }
  plant(join(dir, 'workspace'), tree);
  const options = {
    workspace: join(dir, 'workspace'),
    stateDir: join(dir, 'state'),
    homeDir: join(dir, 'home'),
    tmpDir: join(dir, 'tmp'),
    quota: new StorageQuota(1e9),
  };
  return { dir, options };
}

function makeBase(t: Test): string {
  const base = mkdtempSync(join(tmpdir(), 'astrid-vfs-'));
  t.teardown(() => rmSync(base, { recursive: true, force: true }));
  return base;
}

const probeBase = mkdtempSync(join(tmpdir(), 'astrid-vfs-'));
const probe = seeThroughKernel([makeCase(probeBase, 'probe', { a: '1' }).dir]);
rmSync(probeBase, { recursive: true, force: true });
const skip = typeof probe === 'string' ? `no kernel overlay mount here: ${probe.split('\n')[0]}` : false;

const name = fc.constantFrom('a', 'b', '.wh.a');
const path = fc.array(name, { minLength: 1, maxLength: 3 }).map((names) => names.join('/'));
const call = fc.tuple(fc.constantFrom('write', 'unlink', 'mkdir', 'clear', 'remake'), path);
const scenario = fc.record({
  tree: fc.array(path, { maxLength: 6 }),
  calls: fc.array(call, { minLength: 8, maxLength: 25 }),
});

/** A tree of some of the paths: one whose parent is a file already is left out. */
function treeOf(paths: readonly string[]): Tree {
  const tree: Record<string, string> = {};
  const clashes = (one: string, other: string) =>
    one === other || one.startsWith(`${other}/`) || other.startsWith(`${one}/`);
  for (const one of paths) if (!Object.keys(tree).some((other) => clashes(one, other))) tree[one] = `lower ${one}`;
  return tree;
}

async function clear(guest: Guest, at: string): Promise<void> {
  if ((await guest.exists(at)) && (await guest.stat(at)).isDir) {
    for (const entry of await guest.readdir(at)) await clear(guest, `${at}/${entry}`);
  }
  await codeOf(guest.unlink(at));
}

test('what the kernel shows of our layers, after any sequence of calls, is what we show', { skip }, async (t) => {
  const base = makeBase(t);
  const cases: { dir: string; calls: string; view: Record<string, string> }[] = [];
  for (const { tree, calls } of fc.sample(scenario, { numRuns: 25 })) {
    const { dir, options } = makeCase(base, `case-${cases.length}`, treeOf(tree));
    const session = await openSessionFiles(options);
    const guest = new Guest(session);
    for (const [op, at] of calls) {
      if (op === 'write') await codeOf(guest.write(at, `upper ${at}`));
      if (op === 'clear' || op === 'remake') await clear(guest, at);
      if (op === 'mkdir' || op === 'remake') await codeOf(guest.mkdir(at));
      if (op === 'unlink') await codeOf(guest.unlink(at));
    }
    cases.push({ dir, calls: JSON.stringify(calls), view: await guest.tree() });
    await session.close();
  }
  const seen = seeThroughKernel(cases.map(({ dir }) => dir));
  if (typeof seen === 'string') throw new Error(seen);
  for (const [at, one] of cases.entries()) t.same(seen[at], one.view, one.calls);
});

test('deletions by the kernel are understood, and the kernel leaves our whiteout alone', { skip }, async (t) => {
  const { dir, options } = makeCase(makeBase(t), 'case', { a: '1', b: '2', 'd/c': '3', 'e/f': '4' });
  const first = await openSessionFiles(options);
  await new Guest(first).unlink('a');
  await first.close();
  const seen = seeThroughKernel([dir], 'rm b; rm d/c; rmdir d; echo new > e/g; mkdir h; echo x > h/i');
  if (typeof seen === 'string') throw new Error(seen);
  t.ok(existsSync(join(options.stateDir, 'work/whiteout')), 'the mount cleans its own work directory only');
  const second = await openSessionFiles(options);
  const guest = new Guest(second);
  t.same(await guest.tree(), seen[0]);
  t.same(await guest.readdir(''), ['e', 'h']);
  await guest.unlink('e/f');
  t.same(await guest.tree(), { 'e/': '', 'e/g': 'new\n', 'h/': '', 'h/i': 'x\n' });
  await second.close();
});

test('a link that a program made through the kernel mount is neither followed nor committed', { skip }, async (t) => {
  const { commitOverlay } = await import('../../supervisor/vfs/commit.js');
  const { dir, options } = makeCase(makeBase(t), 'case', { a: '1' });
  writeFileSync(join(dir, 'secret'), 'SECRET');
  const seen = seeThroughKernel([dir], 'ln -s a link; ln -s .. dir');
  t.same(seen, [{ a: '1', link: '-> a', dir: '-> ..' }]);
  const session = await openSessionFiles(options);
  const guest = new Guest(session);
  t.equal(await codeOf(guest.read('link')), 'not_supported');
  t.equal(await codeOf(guest.read('dir/secret')), 'not_supported');
  t.equal(await codeOf(guest.write('dir/x', 'x')), 'not_supported');
  t.equal(await codeOf(guest.mkdir('dir/x')), 'not_supported');
  t.equal(await codeOf(guest.readdir('dir')), 'not_supported');
  t.equal(await codeOf(session.overlay.stat(['link'])), 'not_supported');
  t.same(await commitOverlay(session.overlay), { committed: [], conflicts: ['dir', 'link'] });
  t.same(readdirSync(options.workspace), ['a']);
  await session.close();
});
