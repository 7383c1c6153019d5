import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { unpackTar } from 'modern-tar';
import { type Test, test } from 'tap';
import { makeFakeIo } from '../kit/fake-io.js';
import { assemble, guestText } from '../kit/guest-wat.js';
import { HEARS_PROMPTS, makeGuest, SAYS_HEARD } from '../kit/guests.js';
import { startSupervisor } from '../kit/real-supervisor.js';
import { runCli, startCli } from '../kit/run-cli.js';

async function writeCapsule(
  directory: string,
  name: string,
  version = '1.0.0',
  manifest = HEARS_PROMPTS,
): Promise<string> {
  const guest = await makeGuest({ name, manifest, body: SAYS_HEARD });
  const at = join(directory, name);
  mkdirSync(at, { recursive: true });
  writeFileSync(join(at, 'Capsule.toml'), guest.manifest.replace('version = "1.0.0"', `version = "${version}"`));
  writeFileSync(join(at, `${name}.wasm`), guest.wasm);
  return at;
}

async function start(t: Test) {
  const supervisor = await startSupervisor();
  t.teardown(supervisor.end);
  const cli = (...argv: string[]) => runCli(['capsule', ...argv], supervisor.home, { cwd: t.testdirName });
  return { supervisor, cli };
}

test('capsule install, no terminal and no --yes, shows the plan and is refused; with --yes it installs', async (t) => {
  const directory = t.testdir();
  await writeCapsule(
    directory,
    'demo',
    '1.0.0',
    `${HEARS_PROMPTS}\n[capabilities]\nnet = ["*.example.org"]\nhost_process = ["git"]\n[env]\nTOKEN = { type = "secret" }\n`,
  );
  const { cli } = await start(t);
  const refused = await cli('install', './demo');
  t.equal(refused.exitCode, 4);
  for (const text of [
    'install demo 1.0.0',
    'make requests to *.example.org',
    'run commands git',
    'TOKEN (secret)',
    '(BLAKE3)',
    'generation',
    'user.v1.prompt with go',
    'jail',
  ]) {
    t.ok(refused.err.includes(text), text);
  }
  t.match(refused.err, /--yes/);
  t.match((await cli('list')).out, /no capsule is installed/);
  const installed = await cli('install', './demo', '--yes');
  t.equal(installed.exitCode, 0, installed.err);
  t.match(installed.out, /installed demo 1\.0\.0/);
  t.match((await cli('list')).out, /demo +1\.0\.0 +ready +jail/);
  const json = JSON.parse((await cli('list', '--json')).out);
  t.match(json, [{ name: 'demo', source: `path:${directory}/demo` }]);
  t.match((await cli('verify')).out, /^ok +demo/);
  t.match((await cli('inspect', 'demo')).out, /interceptor user\.v1\.prompt -> go +from \[\[interceptor\]\]/);
});

test('capsule install, an answer to what nothing asks, is said and is no success', async (t) => {
  await writeCapsule(t.testdir(), 'demo');
  const { cli } = await start(t);
  const installed = await cli('install', './demo', '--yes', '--set', 'bogus=1');
  t.equal(installed.exitCode, 1);
  t.match(installed.out, /installed demo/);
  t.match(installed.err, /demo is installed, and asked nothing that --set bogus answers;.*\(not_found\)\n$/);
});

test('capsule install, a person at a terminal, gets it with y and not with anything else', async (t) => {
  await writeCapsule(t.testdir(), 'demo');
  const { supervisor } = await start(t);
  for (const [key, exitCode] of [
    ['n', 4],
    ['\r', 4],
    ['y', 0],
  ] as const) {
    const io = makeFakeIo({ tty: true, cwd: t.testdirName });
    const running = startCli(['capsule', 'install', './demo'], supervisor.home, io);
    await io.errText.until('[y]es, install it');
    io.type(key);
    t.equal(await running, exitCode, JSON.stringify(key));
  }
});

test('capsule install, text of the author that steers a terminal, is written out', async (t) => {
  const directory = t.testdir();
  await writeCapsule(
    directory,
    'demo',
    '1.0.0',
    `${HEARS_PROMPTS}\n[[command]]\nname = "go"\ndescription = "x\\u001b[2K\\u202Eevil"\n`,
  );
  const { cli } = await start(t);
  const { err } = await cli('install', './demo');
  t.notMatch(err, /\x1b|\u202e/);
  t.match(err, /x\\u\{1b\}\[2K\\u\{202e\}evil/);
});

test('capsule update, nothing new, narrower, wider: unchanged, done without asking, refused without consent', async (t) => {
  const directory = t.testdir();
  const wide = `${HEARS_PROMPTS}\n[capabilities]\nfs_read = ["cwd://"]\n`;
  await writeCapsule(directory, 'demo', '1.0.0', wide);
  const { cli } = await start(t);
  await cli('install', './demo', '--yes');
  t.match((await cli('update')).out, /demo 1\.0\.0 unchanged/);
  await writeCapsule(directory, 'demo', '1.1.0');
  t.match((await cli('update')).out, /demo 1\.1\.0 updated/);
  await writeCapsule(directory, 'demo', '1.2.0', wide);
  const wider = await cli('update', 'demo');
  t.equal(wider.exitCode, 4);
  t.match(wider.err, /\+ fs_read cwd:/);
  t.match((await cli('update', 'demo', '--yes')).out, /demo 1\.2\.0 updated/);
  await writeCapsule(directory, 'demo', '1.0.0', wide);
  t.match((await cli('update', 'demo', '--yes')).err, /--allow-downgrade/);
  t.equal((await cli('update', 'nobody')).exitCode, 1);
});

test('capsule pack, the same input, gives the same bytes, which a library reads and install accepts', async (t) => {
  const directory = t.testdir();
  const at = await writeCapsule(directory, 'demo');
  const { cli } = await start(t);
  t.match((await cli('pack', './demo')).out, /packed .*demo-1\.0\.0\.capsule/);
  const first = readFileSync(join(directory, 'demo-1.0.0.capsule'));
  execFileSync('touch', ['-d', '2001-01-01', join(at, 'Capsule.toml')]);
  await cli('pack', './demo', '-o', 'again.capsule');
  t.ok(readFileSync(join(directory, 'again.capsule')).equals(first));
  const entries = await unpackTar(gunzipSync(first));
  t.same(
    entries.map(({ header }) => [header.name, header.mtime?.getTime(), header.uid, header.mode]),
    [
      ['Capsule.toml', 0, 0, 0o644],
      ['demo.wasm', 0, 0, 0o644],
    ],
  );
  t.match((await cli('install', 'demo-1.0.0.capsule', '--yes')).out, /installed demo/);
  t.match((await cli('inspect', './demo')).out, /not installed/);
});

test('capsule install, a directory not built, with links, or nothing there, says what is wrong', async (t) => {
  const directory = t.testdir({ outside: 'secret' });
  const at = await writeCapsule(directory, 'demo');
  const { cli } = await start(t);
  t.match((await cli('install', './nothing')).err, /is not there/);
  rmSync(join(at, 'demo.wasm'));
  t.match((await cli('install', './demo')).err, /is it built/);
  symlinkSync(join(directory, 'outside'), join(at, 'demo.wasm'));
  t.match((await cli('install', './demo')).err, /escapes_root/);
  rmSync(join(at, 'Capsule.toml'));
  symlinkSync(join(directory, 'outside'), join(at, 'Capsule.toml'));
  const linked = await cli('install', './demo');
  t.match(linked.err, /escapes_root/);
  t.notMatch(linked.err, /secret/);
});

test('capsule verify and gc, a module or manifest that was changed and modules left over', async (t) => {
  const directory = t.testdir();
  await writeCapsule(directory, 'demo');
  await writeCapsule(directory, 'other');
  const { supervisor, cli } = await start(t);
  await cli('install', './demo', '--yes');
  await cli('install', './other', '--yes');
  await cli('remove', 'other');
  // Both guests are the same module: what one still needs stays.
  t.match((await cli('gc')).out, /0 modules/);
  const stray = 'a'.repeat(64);
  writeFileSync(join(supervisor.home, 'bin', `${stray}.wasm`), 'left over');
  t.match((await cli('gc')).out, /nothing was removed/);
  t.match((await cli('gc', '--yes')).out, /removed 1 module/);
  t.match(JSON.parse((await cli('gc', '--json')).out), { dryRun: true, blobs: [], keptBlobs: 1 });
  const record = join(supervisor.home, 'home/default/.local/capsules/demo');
  const meta = JSON.parse(readFileSync(join(record, 'meta.json'), 'utf8'));
  writeFileSync(join(supervisor.home, 'bin', `${meta.wasm_hash}.wasm`), 'something else');
  const bad = await cli('verify', 'demo');
  t.equal(bad.exitCode, 1);
  t.match(bad.out, /^bad +demo +bad_hash/);
  writeFileSync(join(record, 'meta.json'), 'no json');
  t.match((await cli('gc')).err, /nothing is removed/);
  t.match((await cli('list')).out, /demo .*damaged/);
  t.match((await cli('remove', 'demo')).out, /removed demo/);
  t.equal((await cli('verify', 'demo')).exitCode, 1);
});

test('capsule inspect, a manifest in both styles, says from which place each line came', async (t) => {
  const directory = t.testdir();
  const both = `${HEARS_PROMPTS}
[capabilities]
ipc_publish = ["a.v1.b"]
[publish]
"a.v1.b" = { wit = "opaque" }
[subscribe]
"c.v1.d" = { wit = "opaque", handler = "on_d" }
[imports."x"]
y = { version = "1.2", optional = true }
`;
  await writeCapsule(directory, 'demo', '1.0.0', both);
  const { cli } = await start(t);
  const { out, exitCode } = await cli('inspect', './demo');
  t.equal(exitCode, 0);
  t.match(out, /style both/);
  t.match(out, /publish a\.v1\.b +from \[capabilities\] ipc_publish and \[publish\]/);
  t.match(out, /interceptor c\.v1\.d -> on_d +from \[subscribe\] handler/);
  t.match(out, /x:y \^1\.2 \(optional\) +not met/);
  t.match(out, /generation +3: /);
  t.equal((await cli('inspect', 'nobody')).exitCode, 1);
});

test('capsule inspect, an installed one and one that could be, says which generation it speaks and what told so', async (t) => {
  const directory = t.testdir();
  await writeCapsule(directory, 'modern');
  const wasm = await assemble(guestText({ exports: { astrid_hook_trigger: '(i32.const 0)' } }));
  mkdirSync(join(directory, 'old'));
  writeFileSync(join(directory, 'old/old.wasm'), wasm);
  writeFileSync(
    join(directory, 'old/Capsule.toml'),
    `[package]\nname = "old"\nversion = "1.0.0"\nabi = 1\n\n[[component]]\nfile = "old.wasm"\n`,
  );
  const { cli } = await start(t);
  t.equal((await cli('install', './old', '--yes')).exitCode, 0);
  for (const target of ['old', './old'])
    t.match((await cli('inspect', target)).out, /generation +1: the manifest says abi = 1\n/, target);
  t.match((await cli('inspect', './modern')).out, /generation +3: the module imports void calls with an i64 result\n/);
});

test('capsule tree, imports that are met, met twice and not met, are told apart', async (t) => {
  const directory = t.testdir();
  await writeCapsule(directory, 'one', '1.0.0', '[exports.x]\ny = "1.0.0"\n');
  await writeCapsule(directory, 'two', '1.0.0', '[exports.x]\ny = "1.5.0"\n');
  await writeCapsule(directory, 'user', '1.0.0', '[imports.x]\ny = "^1.0"\nz = "^2"\n');
  const { cli } = await start(t);
  for (const name of ['one', 'two', 'user']) await cli('install', `./${name}`, '--yes');
  const { out } = await cli('tree');
  t.match(out, /user 1\.0\.0 +waiting-for-import/);
  t.match(out, /imports x:y \^1\.0 +two 1\.5\.0 +also one 1\.0\.0: all of them hear its topics/);
  t.match(out, /imports x:z \^2 +not met/);
  t.match((await cli('list')).out, /user .*no capsule exports/);
});
