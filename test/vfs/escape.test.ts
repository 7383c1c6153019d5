import { spawnSync } from 'node:child_process';
import { linkSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { test } from 'tap';
import { commitOverlay } from '../../supervisor/vfs/commit.js';
import { openRoot } from '../../supervisor/vfs/held-dir.js';
import { codeOf, diskTree, type Guest, openSession, type Session } from './session-fixture.js';

const ROOTS = ['cwd://', 'home://', '/tmp/'] as const;

function hostRoot(session: Session, root: string): string {
  const { workspace, homeDir, tmpDir } = session.options;
  return root === 'cwd://' ? workspace : root === 'home://' ? homeDir : tmpDir;
}

/** Every call on one path; all of them must end with the same code. */
async function codesOfAll(guest: Guest, path: string): Promise<string[]> {
  const calls = [
    () => guest.read(path),
    () => guest.stat(path),
    () => guest.readdir(path),
    () => guest.write(path, 'x'),
    () => guest.mkdir(path),
    () => guest.unlink(path),
    () => guest.exists(path),
  ];
  const codes = new Set<string>();
  for (const call of calls) codes.add(await codeOf(call));
  return [...codes];
}

test('links that lead out of a root, relative or absolute, open nothing there', async (t) => {
  const session = await openSession(t);
  const { guest, outside } = session;
  for (const root of ROOTS) {
    const host = hostRoot(session, root);
    const up = root === '/tmp/' ? '../../..' : '..';
    symlinkSync(`${up}/outside`, join(host, 'rel'));
    symlinkSync(outside, join(host, 'abs'));
    symlinkSync(`${up}/outside/secret`, join(host, 'file'));
    symlinkSync('rel', join(host, 'twice'));
    symlinkSync('/', join(host, 'slash'));
    symlinkSync(host, join(host, 'self'));
    mkdirSync(join(host, 'one'));
    symlinkSync('../..', join(host, 'one/two'));
    const paths = ['rel/secret', 'rel/new', 'abs/secret', 'twice/secret', 'slash/etc/passwd', 'one/two/outside/secret'];
    // A link two levels up and a directory that does not exist yet: the reference once resolved only what existed.
    for (const path of [...paths, 'rel/missing/deep/file', 'abs/missing/file', 'one/two/missing/x', 'self/rel']) {
      t.same(await codesOfAll(guest, `${root}${path}`), ['escapes_root'], `${root}${path}`);
    }
    t.equal(await codeOf(guest.read(`${root}file`)), 'escapes_root');
    t.equal(await codeOf(guest.write(`${root}file`, 'x')), 'escapes_root');
    await guest.unlink(`${root}file`);
    t.equal(await guest.exists(`${root}file`), false, 'removing a link removes the link');
  }
  t.same(diskTree(outside), { secret: 'SECRET' }, 'outside, nothing was made, changed or removed');
});

test('links that stay inside are followed, in a directory part and at the end, and none is ever made', async (t) => {
  const session = await openSession(t);
  const { guest, options } = session;
  for (const root of ROOTS) {
    const host = hostRoot(session, root);
    mkdirSync(join(host, 'real/deep'), { recursive: true });
    writeFileSync(join(host, 'real/deep/f'), 'inside');
    symlinkSync('real', join(host, 'dir'));
    symlinkSync('../real/./deep/../deep', join(host, 'real/loopy'));
    symlinkSync('dir/deep/f', join(host, 'file'));
    symlinkSync('real/none', join(host, 'dangling'));
    t.equal(await guest.read(`${root}dir/deep/f`), 'inside');
    t.equal(await guest.read(`${root}file`), 'inside');
    t.equal(await guest.read(`${root}real/loopy/f`), 'inside');
    t.same(await guest.readdir(`${root}dir`), ['deep', 'loopy']);
    t.equal(await guest.exists(`${root}dangling`), false);
    await guest.write(`${root}file`, 'through the link');
    t.equal(await guest.read(`${root}real/deep/f`), 'through the link');
    await guest.write(`${root}dangling`, 'made');
    t.equal(await guest.read(`${root}real/none`), 'made');
  }
  const links = readdirSync(join(options.stateDir, 'upper'), { recursive: true, withFileTypes: true });
  t.same(
    links.filter((row) => row.isSymbolicLink()),
    [],
    'the upper layer holds no link',
  );
});

test('loops and long chains of links end with one error', async (t) => {
  const { guest, workspace } = await openSession(t, { self: '-> self', a: '-> b', b: '-> a', 'end/f': 'x' });
  for (const path of ['self', 'self/x', 'a', 'b/c']) {
    t.equal(await codeOf(guest.read(path)), 'invalid_argument', path);
    t.equal(await codeOf(guest.write(path, 'x')), 'invalid_argument', path);
    t.equal(await guest.exists(path), false, path);
  }
  symlinkSync('end', join(workspace, 'l1'));
  for (let at = 2; at <= 41; at++) symlinkSync(`l${at - 1}`, join(workspace, `l${at}`));
  t.equal(await guest.read('l40/f'), 'x', 'forty links are followed');
  t.equal(await codeOf(guest.read('l41/f')), 'invalid_argument', 'forty-one are not');
  symlinkSync(`${'x/'.repeat(2000)}f`, join(workspace, 'wide'));
  t.equal(await codeOf(guest.read('wide')), 'invalid_argument', 'a target deeper than any path');
});

test('a path that reaches for the process itself finds nothing', async (t) => {
  const { guest, outside } = await openSession(t);
  const fd = await openRoot(outside, 'outside');
  for (const path of ['/proc/self/root/etc/passwd', `/proc/self/fd/${fd.fd}/secret`, '/dev/stdin', '/etc/passwd']) {
    t.equal(await codeOf(guest.read(path)), 'not_found', path);
  }
  fd.close();
});

test('a workspace that holds /proc itself gives away neither roots nor descriptors', async (t) => {
  const { options } = await openSession(t);
  const { openSessionFiles } = await import('../../supervisor/vfs/session-files.js');
  const { Guest } = await import('./session-fixture.js');
  const files = await openSessionFiles({ ...options, workspace: '/proc', stateDir: `${options.stateDir}2` });
  const guest = new Guest(files);
  for (const path of ['self/root/etc/passwd', 'self/cwd/package.json', 'self/fd/0', 'thread-self/root/etc']) {
    t.not(await codeOf(guest.read(path)), 'ok', path);
  }
  const status = await guest.read('self/status');
  t.match(status, /^Name:/, 'a file whose size is said to be 0 is read to its end');
  await files.close();
});

test('pipes, devices and sockets are shown, and never opened', async (t) => {
  const session = await openSession(t);
  const { guest, workspace, options } = session;
  for (const root of ROOTS) {
    const host = hostRoot(session, root);
    const made = spawnSync('mkfifo', [join(host, 'pipe')]).status === 0;
    const device = spawnSync('mknod', [join(host, 'zero'), 'c', '1', '5']).status === 0;
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(join(host, 'sock'), resolve));
    const names = [...(made ? ['pipe'] : []), ...(device ? ['zero'] : []), 'sock'];
    for (const name of names) {
      t.equal(await codeOf(guest.read(`${root}${name}`)), 'not_supported', `${root}${name} is not read`);
      t.equal(await codeOf(guest.write(`${root}${name}`, 'x')), 'not_supported', `${root}${name} is not written`);
      t.equal(await codeOf(guest.mkdir(`${root}${name}`)), 'already_exists');
      t.equal(await codeOf(guest.read(`${root}${name}/x`)), 'not_a_directory');
      t.equal(await guest.exists(`${root}${name}`), true);
      t.equal((await guest.stat(`${root}${name}`)).isDir, false);
      await guest.unlink(`${root}${name}`);
      t.equal(await guest.exists(`${root}${name}`), false);
    }
    await new Promise((resolve) => server.close(resolve));
  }
  t.ok(readdirSync(workspace).includes('pipe'), 'the workspace keeps its own until a commit');
  t.same(readdirSync(options.tmpDir), []);
});

test('names that other systems treat specially are ordinary names', async (t) => {
  const { guest, files, workspace } = await openSession(t, { 'keep.txt': 'k' });
  const names = [
    '.wh.keep.txt',
    '.wh..wh..opq',
    'a\nb',
    'tab\there',
    ' lead',
    'trail. ',
    'a\\b',
    '\u202eevil',
    '~',
    '-rf',
    '*',
  ];
  for (const name of names) await guest.write(name, name);
  t.same(await guest.readdir(''), [...names, 'keep.txt'].sort());
  for (const name of names) t.equal(await guest.read(name), name);
  t.equal(await guest.read('keep.txt'), 'k', 'a whiteout of another format hides nothing');
  const message = await guest.read('a\nb/\u001b[2J').catch((error: Error) => error.message);
  t.match(message, /^cwd:\/\/a\\u\{a\}b\/\\u\{1b\}\[2J: /, 'a message has them escaped');
  await commitOverlay(files.overlay);
  t.same(readdirSync(workspace).sort(), [...names, 'keep.txt'].sort());
  const long = `${'n'.repeat(255)}/`.repeat(15);
  await guest.write(`${long}end`, 'deep');
  t.equal(await guest.read(`${long}${'/'.repeat(4096 - long.length - 3)}end`), 'deep', 'a path of 4,096 bytes');
  t.equal(await codeOf(guest.read(`${'n'.repeat(256)}`)), 'invalid_argument');
});

test('a hard link to a file outside is read like a file, and is cut off by a write', async (t) => {
  const { guest, outside, options } = await openSession(t);
  linkSync(join(outside, 'secret'), join(options.homeDir, 'hard'));
  t.equal(await guest.read('home://hard'), 'SECRET');
  await guest.write('home://hard', 'mine');
  t.equal(await guest.read('home://hard'), 'mine');
  t.equal(readFileSync(join(outside, 'secret'), 'utf8'), 'SECRET', 'the file outside was not written through');
});

test('a commit whose parent directory was swapped for a link, is a conflict and writes nothing outside', async (t) => {
  const { guest, files, workspace, outside } = await openSession(t, { 'd/f': 'old', 'd/gone': 'g', 'e/f': 'old' });
  await guest.write('d/f', 'new');
  await guest.write('d/more/deep', 'new');
  await guest.unlink('d/gone');
  await guest.write('e/f', 'new');
  for (const [name, target] of [
    ['d', '../outside'],
    ['e', 'd.real'],
  ] as const) {
    spawnSync('mv', [join(workspace, name), join(workspace, `${name}.real`)]);
    symlinkSync(target, join(workspace, name));
  }
  writeFileSync(join(outside, 'gone'), 'not yours');
  const { committed, conflicts } = await commitOverlay(files.overlay);
  t.same(committed, [], 'a deletion of what is not there any more is no change');
  t.same(conflicts, ['d', 'd/f', 'd/more', 'd/more/deep', 'e', 'e/f']);
  t.same(diskTree(outside), { secret: 'SECRET', gone: 'not yours' });
  t.equal(readFileSync(join(workspace, 'd.real/f'), 'utf8'), 'old');
});

test('a link whose target steps back behind a name, leads where the kernel says and never out', async (t) => {
  const { guest, workspace } = await openSession(t, {
    b: 'root',
    'sub/b': 'sub',
    'sub/deep/f': '1',
    k: '-> sub/deep',
    'through-link': '-> k/../b',
    'through-directory': '-> sub/deep/../../b',
    'through-nothing': '-> missing/../b',
    'through-file': '-> b/../b',
    'as-directory': '-> b/',
    'out-behind': '-> k/../../../outside/secret',
  });
  for (const name of ['through-link', 'through-directory'])
    t.equal(await guest.read(name), readFileSync(join(workspace, name), 'utf8'), name);
  t.equal(await guest.read('through-link'), 'sub');
  t.equal(await codeOf(guest.read('through-nothing')), 'not_found');
  t.equal(await codeOf(guest.write('through-nothing', 'x')), 'not_found');
  t.equal(await codeOf(guest.read('through-file')), 'not_a_directory');
  t.equal(await codeOf(guest.read('as-directory')), 'not_a_directory');
  t.equal(await codeOf(guest.read('out-behind')), 'escapes_root');
  t.equal(await codeOf(guest.write('out-behind', 'x')), 'escapes_root');
});

test('links whose targets step back again and again, are bounded like links', async (t) => {
  const { guest } = await openSession(t, {
    'a/f': '1',
    wide: `-> ${'a/../'.repeat(30)}a/f`,
    wider: `-> ${'a/../'.repeat(41)}a/f`,
  });
  t.equal(await guest.read('wide'), '1');
  t.equal(await codeOf(guest.read('wider')), 'invalid_argument');
});
