import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Test, t as tap, test } from 'tap';
import { asFault } from '../../abi/errno.js';
import { packArchive } from '../../cli/capsule/archive-writer.js';
import { fetchCapsule } from '../../cli/capsule/fetch.js';

const MANIFEST = '[package]\nname = "demo"\nversion = "1.0.0"\n[[component]]\nfile = "out/demo.wasm"\n';

// What fetching leaves behind would be left here; beside what other processes fetch it could not be told.
const machineTmp = process.env['TMPDIR'];
const ownTmp = mkdtempSync(join(tmpdir(), 'astrid-'));
process.env['TMPDIR'] = ownTmp;
tap.teardown(() => {
  if (machineTmp === undefined) delete process.env['TMPDIR'];
  else process.env['TMPDIR'] = machineTmp;
  rmSync(ownTmp, { recursive: true });
});

function leftovers(): string[] {
  return readdirSync(tmpdir()).filter((name) => name.startsWith('astrid-fetch-'));
}

function makeRepository(t: Test): { readonly repository: string; git(...args: string[]): string } {
  const repository = t.testdir({ 'Capsule.toml': MANIFEST, out: { 'demo.wasm': 'first' } });
  const env = { PATH: process.env['PATH'] ?? '', HOME: repository, GIT_CONFIG_NOSYSTEM: '1' };
  const who = ['-c', 'user.name=a', '-c', 'user.email=a@example.org', '-c', 'init.defaultBranch=main'];
  const git = (...args: string[]) => execFileSync('git', [...who, ...args], { cwd: repository, env, encoding: 'utf8' });
  git('init', '--quiet');
  git('add', '.');
  git('commit', '--quiet', '-m', 'first');
  git('tag', 'v1');
  return { repository, git };
}

const options = (home: string) => ({ cwd: '/', env: { PATH: process.env['PATH'], HOME: home }, insecureLocal: false });
const codeOf = (work: Promise<unknown>) =>
  work.then(
    () => 'fetched',
    (thrown: unknown) => asFault(thrown).code,
  );

test('a git source, a branch, a tag, a commit or nothing, gives what stands there', async (t) => {
  const { repository, git } = makeRepository(t);
  writeFileSync(join(repository, 'out/demo.wasm'), 'second');
  git('commit', '--quiet', '-am', 'second');
  const commit = git('rev-parse', 'HEAD').trim();
  const read = async (ref: string) =>
    (await fetchCapsule(`git+file://${repository}${ref}`, options(repository))).wasm?.toString();
  t.equal(await read(''), 'second');
  t.equal(await read('#main'), 'second');
  t.equal(await read('#v1'), 'first');
  t.equal(await read(`#${commit}`), 'second');
  t.equal(await codeOf(read('#nowhere')), 'io_error');
  t.same(leftovers(), [], 'no directory is left');
});

test('a git source, links, hooks, filters and submodules in the repository, none takes effect', async (t) => {
  const { repository, git } = makeRepository(t);
  const marker = join(repository, 'marker');
  writeFileSync(join(repository, '.gitattributes'), '* filter=evil\n');
  writeFileSync(join(repository, '.gitmodules'), `[submodule "x"]\n\tpath = x\n\turl = ext::sh -c "touch ${marker}"\n`);
  for (const hook of ['post-checkout', 'post-merge', 'reference-transaction']) {
    writeFileSync(join(repository, '.git/hooks', hook), `#!/bin/sh\ntouch ${marker}\n`, { mode: 0o755 });
  }
  git('add', '.gitattributes', '.gitmodules');
  git('-c', 'core.hooksPath=/dev/null', 'commit', '--quiet', '-m', 'evil');
  t.equal((await fetchCapsule(`git+file://${repository}`, options(repository))).wasm?.toString(), 'first');
  t.notOk(existsSync(marker));
  execFileSync('rm', [join(repository, 'out/demo.wasm')]);
  symlinkSync('/etc/passwd', join(repository, 'out/demo.wasm'));
  git('add', '.');
  git('-c', 'core.hooksPath=/dev/null', 'commit', '--quiet', '-m', 'link');
  t.equal(await codeOf(fetchCapsule(`git+file://${repository}`, options(repository))), 'escapes_root');
});

test('an npm source, from a registry, is fetched without running a script', async (t) => {
  const home = t.testdir();
  const marker = join(home, 'marker');
  const scripts = { preinstall: `touch ${marker}`, prepack: `touch ${marker}`, prepare: `touch ${marker}` };
  const pack = (version: string) =>
    packArchive(
      new Map([
        ['package/package.json', Buffer.from(JSON.stringify({ name: '@acme/demo', version, scripts }))],
        ['package/Capsule.toml', Buffer.from(MANIFEST)],
        ['package/out/demo.wasm', Buffer.from(version)],
      ]),
    );
  const tarballs = new Map([
    ['1.0.0', await pack('1.0.0')],
    ['1.2.0', await pack('1.2.0')],
    ['2.0.0', await pack('2.0.0')],
  ]);
  const asked: string[] = [];
  const server = createServer((request, response) => {
    asked.push(request.url ?? '');
    const version = /demo-(\d\.\d\.\d)\.tgz$/.exec(request.url ?? '')?.[1];
    if (version !== undefined) return void response.end(tarballs.get(version));
    if (request.url !== '/@acme%2fdemo') return void response.writeHead(404).end('{}');
    const versions = [...tarballs.keys()].map((one) => [
      one,
      { name: '@acme/demo', version: one, dist: { tarball: `${base}/demo-${one}.tgz` } },
    ]);
    response.end(
      JSON.stringify({ name: '@acme/demo', 'dist-tags': { latest: '2.0.0' }, versions: Object.fromEntries(versions) }),
    );
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  writeFileSync(join(home, '.npmrc'), `registry=${base}/\nfetch-retries=0\n`);
  const read = async (text: string) => (await fetchCapsule(text, options(home))).wasm?.toString();
  t.equal(await read('npm:@acme/demo'), '2.0.0');
  t.equal(await read('npm:@acme/demo@^1.0'), '1.2.0');
  for (const [source, message] of [
    ['npm:@acme/nothing', 'the npm registry has no package @acme/nothing'],
    ['npm:@acme/demo@^9.0', 'the npm registry has no version of @acme/demo that fits ^9.0'],
  ] as const) {
    t.match(await read(source).catch(asFault), { code: 'not_found', message });
  }
  t.notOk(existsSync(marker), 'no script ran');
  t.same(leftovers(), []);
});

test('a source, whose program is not installed, says so', async (t) => {
  const empty = t.testdir({ bin: {} });
  mkdirSync(join(empty, 'none'));
  const bare = { cwd: '/', env: { PATH: join(empty, 'none') }, insecureLocal: false };
  for (const [source, program] of [
    ['npm:demo', 'npm'],
    ['git+https://example.org/x', 'git'],
  ] as const) {
    const thrown = await fetchCapsule(source, bare).catch(asFault);
    t.match(thrown, { code: 'not_found', message: new RegExp(`^${program} is not installed`) });
  }
});
