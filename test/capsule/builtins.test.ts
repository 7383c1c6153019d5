import { mkdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Test, test } from 'tap';
import { Fault } from '../../abi/errno.js';
import { syncBuiltins } from '../../supervisor/capsule/builtins.js';
import { CapsuleStore } from '../../supervisor/capsule/store.js';
import { openPool } from '../../supervisor/pool/pool.js';
import { compileWat } from '../wasm/modules.js';

const manifestOf = (name: string, rest = '') =>
  `[package]\nname = "${name}"\nversion = "1.0.0"\n${rest}[[component]]\nfile = "${name}.wasm"\n`;

async function writeBuiltin(directory: string, name: string, pages = 1, rest = ''): Promise<void> {
  await mkdir(join(directory, name), { recursive: true });
  await writeFile(join(directory, name, 'Capsule.toml'), manifestOf(name, rest));
  const wasm = await compileWat(`(module (memory ${pages}) (func (export "run") (result i32) (i32.const 0)))`);
  await writeFile(join(directory, name, `${name}.wasm`), wasm);
}

/** A store and a directory of built-in capsules `fs` and `react`; hashing and inspection run in the real pool. */
async function open(t: Test) {
  const root = t.testdir({ home: {}, builtin: {} });
  const worker = openPool();
  t.teardown(() => worker.close());
  const directory = join(root, 'builtin');
  for (const name of ['fs', 'react']) await writeBuiltin(directory, name);
  const store = new CapsuleStore({ home: join(root, 'home'), worker });
  const sync = () => syncBuiltins({ store, directory, principal: 'default' });
  const actions = async () => (await sync()).synced.map(({ capsule, action }) => [capsule.name, action]);
  return { root, directory, store, sync, actions, home: join(root, 'home') };
}

const fileOf = (home: string, name: string, file: string) => join(home, 'home/default/.local/capsules', name, file);

test('built-in capsules, a first sync, installs them and marks them as such', async (t) => {
  const { sync, store } = await open(t);
  const { synced, problems } = await sync();
  t.same(problems, []);
  t.match(synced, [
    { action: 'installed', capsule: { name: 'fs', meta: { source: 'builtin' } } },
    { action: 'installed', capsule: { name: 'react' } },
  ]);
  t.match(await store.loadInstalled('default', 'fs'), {
    report: { entryPoints: ['run'] },
    meta: { source: 'builtin' },
  });
});

test('built-in capsules, a second sync, writes nothing; a change of code or manifest updates that one', async (t) => {
  const { directory, home, actions } = await open(t);
  await actions();
  const before = await stat(fileOf(home, 'fs', 'meta.json'));
  t.same(await actions(), [
    ['fs', 'unchanged'],
    ['react', 'unchanged'],
  ]);
  t.equal((await stat(fileOf(home, 'fs', 'meta.json'))).ino, before.ino);
  await writeBuiltin(directory, 'fs', 2);
  await writeBuiltin(directory, 'react', 1, 'restart = "always"\n');
  t.same(await actions(), [
    ['fs', 'updated'],
    ['react', 'updated'],
  ]);
  t.match(await readFile(fileOf(home, 'react', 'Capsule.toml'), 'utf8'), /restart = "always"/);
});

test('built-in capsules, a damaged blob, record or manifest, is repaired', async (t) => {
  const { home, store, actions } = await open(t);
  await actions();
  const { hash } = await store.readInstalled('default', 'fs');
  const damages = [
    () => writeFile(join(home, 'bin', `${hash}.wasm`), 'damaged'),
    () => rm(join(home, 'bin', `${hash}.wasm`)),
    () => rm(fileOf(home, 'fs', 'meta.json')),
    () => writeFile(fileOf(home, 'fs', 'meta.json'), '{'),
    () => writeFile(fileOf(home, 'fs', 'Capsule.toml'), manifestOf('fs', 'restart = "never"\n')),
  ];
  for (const damage of damages) {
    await damage();
    t.not((await actions())[0]?.[1], 'unchanged');
    t.ok(await store.loadInstalled('default', 'fs'));
  }
});

test('built-in capsules, a capsule of the same name installed by someone, is kept and not called built-in', async (t) => {
  const { store, sync } = await open(t);
  const wasm = await compileWat('(module (func (export "run") (result i32) (i32.const 1)))');
  await store.installCapsule({ principal: 'default', manifestText: manifestOf('fs'), wasm, source: 'elsewhere' });
  const { synced } = await sync();
  t.match(synced[0], { action: 'kept', capsule: { name: 'fs', meta: { source: 'elsewhere' } } });
});

test('built-in capsules, one that is broken, is a problem and the others are installed', async (t) => {
  const { directory, root, sync } = await open(t);
  await writeBuiltin(directory, 'wrong');
  await writeFile(join(directory, 'wrong', 'Capsule.toml'), manifestOf('other'));
  await mkdir(join(directory, 'empty'));
  await symlink(root, join(directory, 'linked'));
  const { synced, problems } = await sync();
  t.same(
    synced.map(({ capsule }) => capsule.name),
    ['fs', 'react'],
  );
  t.same(
    problems.map(({ name, fault }) => [name, fault.code]),
    [
      ['empty', 'not_found'],
      ['linked', 'escapes_root'],
      ['wrong', 'bad_manifest'],
    ],
  );
});

test('built-in capsules, a directory that is not there, is one Fault', async (t) => {
  const { store, root } = await open(t);
  const missing = syncBuiltins({ store, directory: join(root, 'none'), principal: 'default' });
  const fault = await missing.catch((thrown: unknown) => thrown);
  t.ok(fault instanceof Fault);
  t.match(fault, { code: 'not_found', message: 'built-in capsules: ENOENT' });
});
