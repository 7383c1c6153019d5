import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, copyFile, mkdir, mkdtemp, readdir, readFile, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { type Test, test } from 'tap';
import { PACKAGE_ROOT } from '../kit/package-root.js';

const TSCONFIG = {
  compilerOptions: {
    target: 'ES2022',
    module: 'NodeNext',
    rootDir: '.',
    outDir: 'dist',
    types: [],
    skipLibCheck: true,
  },
  include: ['**/*.ts'],
  exclude: ['dist', 'node_modules'],
};

/** The smallest tree that the launcher can build: what it runs prints its arguments. */
const FILES: Readonly<Record<string, string>> = {
  'package.json': '{"type":"module"}',
  'tsconfig.json': JSON.stringify(TSCONFIG),
  'abi/value.ts': 'export const VALUE: string = "one";',
  'cli/main.ts':
    'import { VALUE } from "../abi/value.js"; declare const console: { log(...values: unknown[]): void };' +
    'export async function main(argv: string[]) { console.log(VALUE, ...argv); }',
  'cli/build/build-all.ts':
    'export async function buildAll(options: { outDir: string }) {' +
    ' const fs: any = await import("node:fs" as string); fs.mkdirSync(options.outDir, { recursive: true });' +
    ' fs.appendFileSync(options.outDir + "/built", "x"); }',
  'worker/main.ts': 'export const worker = 1;',
  'supervisor/main.ts': 'export const supervisor = 1;',
  'capsules/echo/main.ts': 'export const echo = 1;',
};

async function write(root: string, path: string, text: string): Promise<void> {
  await mkdir(dirname(join(root, path)), { recursive: true });
  await writeFile(join(root, path), text);
}

async function makeTree(t: Test): Promise<string> {
  const root = await mkdtemp(join(tmpdir(), 'astrid-setup-'));
  t.teardown(() => rm(root, { recursive: true, force: true }));
  for (const [path, text] of Object.entries(FILES)) await write(root, path, text);
  for (const name of ['astrid', 'setup.mjs', 'bundles.mjs'])
    await copyFile(join(PACKAGE_ROOT, 'cli', name), join(root, 'cli', name));
  await chmod(join(root, 'cli/astrid'), 0o755);
  await symlink(join(PACKAGE_ROOT, 'node_modules'), join(root, 'node_modules'));
  return root;
}

interface Launch {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

function launch(root: string, ...argv: string[]): Promise<Launch> {
  return launchWith(process.env['PATH'] ?? '', root, ...argv);
}

async function launchWith(searchPath: string, root: string, ...argv: string[]): Promise<Launch> {
  // The test library's loader, handed down in NODE_OPTIONS, cannot take a module without an extension.
  const args = ['-u', 'NODE_OPTIONS', `PATH=${searchPath}`, process.execPath, join(root, 'cli/astrid'), ...argv];
  const child = spawn('env', args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let out = '';
  let err = '';
  child.stdout.on('data', (chunk: Buffer) => {
    out += chunk.toString();
  });
  child.stderr.on('data', (chunk: Buffer) => {
    err += chunk.toString();
  });
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, out, err };
}

test('the launcher, a tree that was never built, builds it with progress and runs it with the same arguments', async (t) => {
  const root = await makeTree(t);
  const first = await launch(root, 'ps', '--json', 'a b');
  t.equal(first.out, 'one ps --json a b\n');
  t.match(
    first.err,
    /^building: TypeScript … \d+\.\d s\nbuilding: worker bundle … .*\nbuilding: supervisor bundle … .*\nbuilding: capsules … .*\n$/,
  );
  t.ok((await readdir(join(root, 'dist/capsules'))).includes('built'));

  const second = await launch(root);
  t.same(second, { code: 0, out: 'one\n', err: '' }, 'quiet when there is nothing to do');

  const later = new Date(Date.now() + 60_000);
  await utimes(join(root, 'abi/value.ts'), later, later);
  t.same(await launch(root), { code: 0, out: 'one\n', err: '' }, 'a file that was only touched is not stale');

  await write(root, 'abi/value.ts', 'export const VALUE: string = "two";');
  const changed = await launch(root);
  t.equal(changed.out, 'two\n');
  t.match(changed.err, 'building: TypeScript');

  await write(root, 'capsules/echo/main.ts', 'export const echo = 2;');
  const capsule = await launch(root);
  t.match(capsule.err, /^building: capsules … .*\n$/, 'only what is stale');

  await write(root, 'abi/value.ts', 'export const VALUE: string = 3;');
  const broken = await launch(root);
  t.equal(broken.code, 1);
  t.equal(broken.out, '', 'the old program is not run in the place of the new one');
  t.match(broken.err, /error TS2322.*astrid: .*tsc.* ended with exit code/s);
  t.match((await launch(root)).err, 'error TS2322', 'a failed build is not taken for a built one');
});

/** Notes what it is called with, and puts the packages there; fails instead where a file says so. */
const FAKE_NPM = `#!/bin/sh
echo "$@" >> npm-called
if [ -e npm-fails ]; then echo "npm error 404" >&2; exit 1; fi
mkdir -p node_modules
for package in "${join(PACKAGE_ROOT, 'node_modules')}"/*; do ln -s "$package" node_modules/; done
echo '{}' > node_modules/.package-lock.json
`;

test('the launcher, a tree without packages, installs them with scripts off and progress, and says in one line why it cannot', async (t) => {
  const root = await makeTree(t);
  await rm(join(root, 'node_modules'));
  await write(root, 'package-lock.json', '{"lockfileVersion":3}');
  await write(root, 'bin/npm', FAKE_NPM);
  await chmod(join(root, 'bin/npm'), 0o755);
  const searchPath = `${join(root, 'bin')}:/usr/bin:/bin`;

  const none = await launchWith('/nonexistent', root);
  t.match(none, { code: 1, out: '', err: /\nastrid: npm cannot be run: ENOENT\n$/ });
  await write(root, 'npm-fails', '');
  const failed = await launchWith(searchPath, root);
  t.match(failed, { code: 1, out: '', err: /npm error 404\n.*astrid: npm install .* ended with exit code 1\n$/s });
  await rm(join(root, 'npm-fails'));

  const first = await launchWith(searchPath, root, 'ps');
  t.equal(first.out, 'one ps\n');
  t.match(first.err, /^installing packages … \d+\.\d s\nbuilding: TypeScript … /);
  const called = (await readFile(join(root, 'npm-called'), 'utf8')).trim().split('\n');
  t.equal(called.length, 2, 'once for each try');
  for (const line of called) t.match(line, /^install .*--ignore-scripts/);
  t.same(await launchWith(searchPath, root), { code: 0, out: 'one\n', err: '' }, 'quiet when there is nothing to do');
});

test('the launcher, several at once and a lock of a dead process, builds once and all of them run', async (t) => {
  const root = await makeTree(t);
  await mkdir(join(root, 'dist'));
  const gone = spawn(process.execPath, ['-e', ''], { stdio: 'ignore' });
  await once(gone, 'exit');
  await writeFile(join(root, 'dist', `.lock.${gone.pid}`), '');
  const launches = await Promise.all([launch(root), launch(root), launch(root)]);
  t.same(
    launches.map(({ code, out }) => [code, out]),
    launches.map(() => [0, 'one\n']),
  );
  const builders = launches.filter(({ err }) => err.includes('building: TypeScript'));
  t.equal(builders.length, 1);
  t.same(
    (await readdir(join(root, 'dist'))).filter((name) => name.startsWith('.lock')),
    [],
    'no lock is left',
  );
});

test('the launcher, an installed package without sources, goes straight in', async (t) => {
  const root = await makeTree(t);
  for (const path of ['tsconfig.json', 'cli/main.ts', 'abi/value.ts']) await rm(join(root, path));
  await write(root, 'dist/cli/main.js', 'export async function main(argv) { console.log("packed", ...argv); }');
  t.same(await launch(root, '--version'), { code: 0, out: 'packed --version\n', err: '' });
});
