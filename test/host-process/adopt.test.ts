import { chmodSync, mkdirSync, readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'tap';
import { LIMITS } from '../../abi/limits.js';
import { parseGuestPath } from '../../supervisor/vfs/path.js';
import { jailMissing } from '../kit/worker-bench.js';
import { type Bench, callerOf, changesOf, commitAll, makeBench, request, rollback, until } from './kit.js';

const skip = await jailMissing();
const ACTOR = callerOf().actor;
const MIB = 1024 * 1024;

async function write(bench: Bench, path: string, text: string): Promise<void> {
  const parsed = parseGuestPath(path);
  await (await bench.files.mountFor(parsed, ACTOR)).writeFile(parsed.segments, Buffer.from(text));
}

async function read(bench: Bench, path: string): Promise<string> {
  const parsed = parseGuestPath(path);
  return (await (await bench.files.mountFor(parsed, ACTOR)).readFile(parsed.segments)).toString();
}

test('a directory, deleted and made again by a command, does not bring its old entries back', { skip }, async (t) => {
  const bench = await makeBench(t, { 'd/old': '1', 'd/deep/older': '2', 'd/same': '3' });
  await bench.sh('rm -r d; mkdir d; echo new > d/new; echo again > d/same');
  t.same(await changesOf(bench), {
    'd/deep': 'deleted',
    'd/deep/older': 'deleted',
    'd/new': 'added',
    'd/old': 'deleted',
    'd/same': 'modified',
  });
  t.equal((await bench.sh('ls d')).stdout, 'new\nsame\n');
  await rollback(bench, ['d/old']);
  t.equal((await bench.sh('ls d')).stdout, 'new\nold\nsame\n', 'no hidden mark is left for the kernel');
  t.same((await commitAll(bench)).conflicts, []);
  t.same(readdirSync(join(bench.workspace, 'd')).sort(), ['new', 'old', 'same']);
});

test('what a command wrote, and whose view was killed before it could be looked at, is kept', async (t) => {
  const bench = await makeBench(t, { a: '1' });
  const { layer } = await bench.files.openCommandPlace(ACTOR);
  await layer.markStart();
  writeFileSync(join(layer.dir, 'upper/new'), 'kept');
  // There is no process 0: the place of one that is gone.
  await layer.adopt('/proc/0/cwd');
  await layer.remove();
  t.same(await changesOf(bench), { new: 'added' });
});

test('files become directories and the other way round, as the command left them', { skip }, async (t) => {
  const bench = await makeBench(t, { a: '1', 'd/x': '2', 'd/y/z': '3' });
  await bench.sh('rm a; mkdir a; echo in > a/in; rm -r d; echo file > d');
  t.equal(await read(bench, 'a/in'), 'in\n');
  t.equal(await read(bench, 'd'), 'file\n');
  t.same((await commitAll(bench)).conflicts, []);
  t.equal(readFileSync(join(bench.workspace, 'd'), 'utf8'), 'file\n');
  t.same(readdirSync(join(bench.workspace, 'a')), ['in']);
});

test('a workspace file that somebody changed while a command changed it, is a conflict at commit', {
  skip,
}, async (t) => {
  const bench = await makeBench(t, { a: '1', b: '1', go: '' });
  const id = await bench.start('sh', '-c', 'echo mine > a; rm b; echo ready; sleep 60');
  await until('it wrote', () => bench.processes.read(id, callerOf()).stdout.includes('ready'));
  writeFileSync(join(bench.workspace, 'a'), 'theirs');
  writeFileSync(join(bench.workspace, 'b'), 'theirs');
  await bench.processes.kill(id, callerOf());
  t.same((await commitAll(bench)).conflicts, ['a']);
  t.equal(readFileSync(join(bench.workspace, 'a'), 'utf8'), 'theirs');
  t.equal(await read(bench, 'b'), 'theirs', 'a newer file is not deleted');
});

test('what the session itself wrote while a command ran stays, and the log says so', { skip }, async (t) => {
  const bench = await makeBench(t, { a: '1' });
  const id = await bench.start('sh', '-c', 'echo command > a; echo other > b; echo ready; sleep 60');
  await until('it wrote', () => bench.processes.read(id, callerOf()).stdout.includes('ready'));
  await write(bench, 'a', 'session');
  await bench.processes.kill(id, callerOf());
  t.equal(await read(bench, 'a'), 'session');
  t.equal(await read(bench, 'b'), 'other\n');
  t.match(bench.logs.join('\n'), /warn: .*changed by others meanwhile: a/);
});

test('pipes and sockets of a command are left out, its links are kept and never followed', { skip }, async (t) => {
  const bench = await makeBench(t, { a: '1' });
  await bench.sh(
    'mkfifo pipe; ln -s /etc/passwd out; ln -s a in; ln a hard; chmod 000 hard; mkdir shut; echo x > shut/x; chmod 000 shut',
  );
  t.same(await changesOf(bench), { hard: 'added', in: 'added', out: 'added', shut: 'directory', 'shut/x': 'added' });
  await t.rejects(read(bench, 'out'), { code: 'not_supported' });
  t.equal((await bench.run('readlink', 'in')).stdout, 'a\n', 'the next command has the link');
  t.equal(await read(bench, 'shut/x'), 'x\n');
});

test('a command that writes more than may be stored, fails, and nothing of it is kept', { skip }, async (t) => {
  const bench = await makeBench(t, { a: '1' });
  // A file of holes counts as stored with its whole size, so the test takes little of the machine's disk.
  const own = join(bench.home, 'home/default');
  mkdirSync(own, { recursive: true, mode: 0o700 });
  writeFileSync(join(own, 'holes'), '');
  truncateSync(join(own, 'holes'), LIMITS.storageBytesPerPrincipalMax - 64 * MIB);
  t.equal(await bench.fate('sh', '-c', 'head -c 30000000 /dev/zero > fits'), 0);
  const tooMuch = 'for i in 1 2 3; do head -c 30000000 /dev/zero > f$i || exit 9; done; echo more >> a';
  t.equal(await bench.fate('sh', '-c', tooMuch), 'quota_exceeded', 'when it has ended');
  t.equal(await bench.fate('sh', '-c', `${tooMuch}; sleep 3600`), 'quota_exceeded', 'while it runs');
  t.same(await changesOf(bench), { fits: 'added' });
});

test('what a command wrote whose supervisor was killed, is there when the session is opened again', {
  skip,
}, async (t) => {
  const { CommandLayer } = await import('../../supervisor/vfs/command-layer.js');
  const { openSession } = await import('../vfs/session-fixture.js');
  const { diffOverlay } = await import('../../supervisor/vfs/diff.js');
  const { files, options } = await openSession(t, { a: '1' });
  const layer = await CommandLayer.make(options.stateDir, files.overlay);
  await layer.markStart();
  writeFileSync(join(layer.dir, 'upper/new'), 'left behind');
  chmodSync(join(layer.dir, 'upper/new'), 0o644);
  await CommandLayer.recover(options.stateDir, files.overlay);
  t.same(
    (await diffOverlay(files.overlay)).map(({ path }) => path),
    ['new'],
  );
  t.same(readdirSync(join(options.stateDir, 'commands')), []);
});

test('two commands at once keep what each of them wrote', { skip }, async (t) => {
  const bench = await makeBench(t, { a: '1' });
  const both = ['one', 'two'].map((name) =>
    bench.processes.run(request('sh', '-c', `mkdir -p out; echo ${name} > out/${name}`), callerOf()),
  );
  await Promise.all(both);
  t.same(await changesOf(bench), { out: 'directory', 'out/one': 'added', 'out/two': 'added' });
});
