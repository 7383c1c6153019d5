import { execFileSync, spawnSync } from 'node:child_process';
import { chmod, mkdir, readdir, readFile, rename, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { blake3 } from '@noble/hashes/blake3.js';
import { type Test, test } from 'tap';
import { Fault } from '../../abi/errno.js';
import { inspectModule } from '../../abi/wasm/inspect.js';
import { type BlobWorker, CapsuleStore } from '../../supervisor/capsule/store.js';
import { compileWat } from '../wasm/modules.js';

/** The same work as the pool's, on this thread. */
const worker: BlobWorker = {
  hashBlake3: async (bytes) => ({ hash: hashOf(bytes), bytes: Buffer.from(bytes) }),
  inspectModule: async (bytes) => ({ report: inspectModule(bytes), bytes: Buffer.from(bytes) }),
};
const hashOf = (bytes: Uint8Array) => Buffer.from(blake3(bytes)).toString('hex');

const MANIFEST = '[package]\nname = "demo"\nversion = "1.0.0"\n[[component]]\nfile = "demo.wasm"\n';
const RUN = '(func (export "run") (result i32) (i32.const 0))';
const compileDemo = (body = '(memory 1)') => compileWat(`(module ${body} ${RUN})`);

function openStore(t: Test, now = new Date('2026-01-02T03:04:05Z')) {
  const home = t.testdir();
  return { home, store: new CapsuleStore({ home, worker, now: () => now }) };
}

async function install(store: CapsuleStore, manifestText = MANIFEST, wasm: Uint8Array | null = null) {
  const code = wasm ?? (await compileDemo());
  return store.installCapsule({ principal: 'default', manifestText, wasm: code, source: 'test' });
}

const capsuleDir = (home: string, name = 'demo') => join(home, 'home', 'default', '.local', 'capsules', name);

async function faultOf(work: Promise<unknown>): Promise<Fault> {
  const thrown = await work.then(
    () => new Error('expected a Fault'),
    (error: unknown) => error,
  );
  if (thrown instanceof Fault) return thrown;
  throw thrown;
}

async function editMeta(home: string, change: (meta: Record<string, unknown>) => void): Promise<void> {
  const path = join(capsuleDir(home), 'meta.json');
  const meta = JSON.parse(await readFile(path, 'utf8'));
  change(meta);
  await writeFile(path, JSON.stringify(meta));
}

test('store, a blob, is kept under its hash, private to the owner, and read back', async (t) => {
  const { home, store } = openStore(t);
  const hash = await store.installBlob(Buffer.from('abc'));
  t.equal(hash, '6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85');
  t.equal((await store.readVerified(hash)).toString(), 'abc');
  const [directory, file] = [await stat(join(home, 'bin')), await stat(join(home, 'bin', `${hash}.wasm`))];
  t.equal(directory.mode & 0o777, 0o700);
  t.equal(file.mode & 0o777, 0o600);
  t.same(await readdir(join(home, 'bin')), [`${hash}.wasm`], 'no temporary file is left');
});

test('store, a blob that is there already, is not written again; a damaged one is', async (t) => {
  const { home, store } = openStore(t);
  const path = join(home, 'bin', `${await store.installBlob(Buffer.from('abc'))}.wasm`);
  const before = await stat(path);
  await store.installBlob(Buffer.from('abc'));
  t.equal((await stat(path)).ino, before.ino);
  await writeFile(path, 'abd');
  await store.installBlob(Buffer.from('abc'));
  t.equal(await readFile(path, 'utf8'), 'abc');
});

test('store, a blob with one flipped bit, missing or too large, is a bad hash', async (t) => {
  const { home, store } = openStore(t);
  const hash = await store.installBlob(Buffer.from('abc'));
  const path = join(home, 'bin', `${hash}.wasm`);
  await writeFile(
    path,
    Buffer.from('abc').map((byte, index) => (index === 1 ? byte ^ 1 : byte)),
  );
  t.match(await faultOf(store.readVerified(hash)), { code: 'bad_hash', message: /it was changed or damaged/ });
  execFileSync('truncate', ['-s', '33M', path]);
  t.match(await faultOf(store.readVerified(hash)), { code: 'bad_hash', message: /is too large/ });
  await rm(path);
  t.match(await faultOf(store.readVerified(hash)), { code: 'bad_hash', message: /is missing/ });
  t.match(await faultOf(store.readVerified('../../etc/passwd')), { code: 'invalid_argument', field: 'hash' });
});

test('store, a blob replaced while it is hashed, gives the bytes that were hashed', async (t) => {
  const home = t.testdir();
  const hash = await new CapsuleStore({ home, worker }).installBlob(Buffer.from('good'));
  const racing = new CapsuleStore({
    home,
    worker: {
      ...worker,
      hashBlake3: async (bytes) => {
        await writeFile(join(home, 'bin', `${hash}.wasm`), 'evil');
        return worker.hashBlake3(bytes);
      },
    },
  });
  t.equal((await racing.readVerified(hash)).toString(), 'good');
});

test('store, a blob or its directory that is a symbolic link, is refused even when the content is right', async (t) => {
  const { home, store } = openStore(t);
  const hash = await store.installBlob(Buffer.from('abc'));
  const path = join(home, 'bin', `${hash}.wasm`);
  await rename(path, join(home, 'elsewhere'));
  await symlink(join(home, 'elsewhere'), path);
  t.match(await faultOf(store.readVerified(hash)), { code: 'escapes_root', message: /is a symbolic link/ });
  await rm(path);
  await rename(join(home, 'elsewhere'), path);
  await rename(join(home, 'bin'), join(home, 'moved'));
  await symlink(join(home, 'moved'), join(home, 'bin'));
  t.match(await faultOf(store.readVerified(hash)), { code: 'escapes_root' });
  t.match(await faultOf(store.installBlob(Buffer.from('abcd'))), { code: 'escapes_root' });
  t.same(await readdir(join(home, 'moved')), [`${hash}.wasm`], 'nothing was written through the link');
});

test('store, a fifo in the place of a blob, is refused and not waited for', async (t) => {
  const { home, store } = openStore(t);
  const hash = await store.installBlob(Buffer.from('abc'));
  const path = join(home, 'bin', `${hash}.wasm`);
  await rm(path);
  execFileSync('mkfifo', [path]);
  t.match(await faultOf(store.readVerified(hash)), { code: 'io_error', message: /not a regular file/ });
});

test('store, an installed capsule, is listed and loads with verified code, report and generation', async (t) => {
  const { home, store } = openStore(t);
  const wasm = await compileDemo();
  const hash = hashOf(wasm);
  const installed = await install(store, MANIFEST, wasm);
  t.match(installed, { principal: 'default', name: 'demo', hash, meta: { source: 'test', wasm_hash: hash } });
  const meta = JSON.parse(await readFile(join(capsuleDir(home), 'meta.json'), 'utf8'));
  t.match(meta, { version: '1.0.0', installed_at: '2026-01-02T03:04:05.000Z', updated_at: '2026-01-02T03:04:05.000Z' });
  t.equal(await readFile(join(capsuleDir(home), 'Capsule.toml'), 'utf8'), MANIFEST);
  const listed = await store.listInstalled('default');
  t.same(listed, { capsules: [installed], problems: [] });
  const loaded = await store.loadInstalled('default', 'demo');
  t.match(loaded, { hash, generation: { generation: 2 }, report: { entryPoints: ['run'] } });
  t.equal(hashOf(loaded.wasm), hash);
});

test('store, a second install, keeps the time of the first and replaces the rest', async (t) => {
  const { home, store } = openStore(t);
  await install(store);
  const later = new CapsuleStore({ home, worker, now: () => new Date('2026-02-01T00:00:00Z') });
  const { meta } = await install(later, MANIFEST.replace('1.0.0', '1.1.0'), await compileDemo('(memory 2)'));
  t.match(meta, { version: '1.1.0', installed_at: /2026-01-02/, updated_at: /2026-02-01/ });
  t.equal((await readdir(join(home, 'bin'))).length, 2, 'the old code stays');
});

test('store, a capsule without a hash or with another one, does not load', async (t) => {
  const { home, store } = openStore(t);
  const { hash } = await install(store);
  await editMeta(home, (meta) => delete meta['wasm_hash']);
  t.match(await faultOf(store.loadInstalled('default', 'demo')), {
    code: 'bad_hash',
    field: 'meta.json: wasm_hash',
    message: /no wasm_hash/,
  });
  await editMeta(home, (meta) => {
    meta['wasm_hash'] = 'f'.repeat(64);
  });
  t.match(await faultOf(store.loadInstalled('default', 'demo')), { code: 'bad_hash', message: /is missing/ });
  await editMeta(home, (meta) => {
    meta['wasm_hash'] = hash;
  });
  await writeFile(join(home, 'bin', `${hash}.wasm`), await compileDemo('(memory 9)'));
  t.match(await faultOf(store.loadInstalled('default', 'demo')), { code: 'bad_hash', message: /changed or damaged/ });
});

test('store, a manifest edited after the install, does not load', async (t) => {
  const { home, store } = openStore(t);
  await install(store);
  await writeFile(join(capsuleDir(home), 'Capsule.toml'), `${MANIFEST}[capabilities]\nfs_write = ["cwd://"]\n`);
  t.match(await faultOf(store.loadInstalled('default', 'demo')), {
    code: 'bad_hash',
    message: /Capsule.toml was changed after it was installed/,
  });
});

const BAD_META: readonly (readonly [field: string, value: unknown, says: RegExp])[] = [
  ['version', 1, /meta.json: version: expected the version of the capsule/],
  ['installed_at', 'yesterday', /meta.json: installed_at: expected a time such as/],
  ['updated_at', undefined, /meta.json: updated_at: expected a time such as/],
  ['source', 5, /meta.json: source: expected where the capsule came from/],
  ['topics', {}, /meta.json: topics: expected a list/],
  ['wasm_hash', 'ABC', /meta.json: wasm_hash: expected 64 lowercase hex digits/],
  ['manifest_hash', '../x', /meta.json: manifest_hash: expected 64 lowercase hex digits/],
];
test('store, a bad field in meta.json, is named', async (t) => {
  const { home, store } = openStore(t);
  for (const [field, value, says] of BAD_META) {
    await install(store);
    await editMeta(home, (meta) => {
      meta[field] = value;
    });
    const fault = await faultOf(store.loadInstalled('default', 'demo'));
    t.match(fault, { code: 'bad_manifest', field: `meta.json: ${field}` }, field);
    t.match(fault.message, says);
  }
  for (const text of ['', '{', '[]', 'null', '\ud800']) {
    await writeFile(join(capsuleDir(home), 'meta.json'), text);
    t.match(await faultOf(store.loadInstalled('default', 'demo')), { code: 'bad_manifest', field: 'meta.json' });
  }
});

test('store, one broken capsule among others, is a problem of its own', async (t) => {
  const { home, store } = openStore(t);
  await install(store);
  for (const name of ['alpha', 'linked', 'renamed']) await install(store, MANIFEST.replace('demo', name));
  await rename(capsuleDir(home, 'linked'), join(home, 'outside'));
  await symlink(join(home, 'outside'), capsuleDir(home, 'linked'));
  await rename(capsuleDir(home, 'renamed'), capsuleDir(home, 'other-name'));
  await mkdir(join(capsuleDir(home, 'empty')));
  await mkdir(join(capsuleDir(home, 'Bad Name')));
  const { capsules, problems } = await store.listInstalled('default');
  t.same(
    capsules.map(({ name }) => name),
    ['alpha', 'demo'],
  );
  t.same(
    problems.map(({ name, fault }) => [name, fault.code]),
    [
      ['?', 'invalid_argument'],
      ['empty', 'not_found'],
      ['linked', 'escapes_root'],
      ['other-name', 'bad_manifest'],
    ],
  );
  t.same(await store.listInstalled('nobody'), { capsules: [], problems: [] });
});

test('store, names that are no single path component, are refused before any path is made', async (t) => {
  const { store } = openStore(t);
  for (const bad of ['..', '.', '', 'a/b', '../default', 'a\0b', '.hidden', 'a'.repeat(65)]) {
    t.match(await faultOf(store.loadInstalled(bad, 'demo')), { code: 'invalid_argument', field: 'principal' }, bad);
    t.match(await faultOf(store.loadInstalled('default', bad)), { code: 'invalid_argument', field: 'capsule' }, bad);
    t.match(await faultOf(store.listInstalled(bad)), { code: 'invalid_argument' });
  }
});

test('store, an install that is refused, writes nothing', async (t) => {
  const { home, store } = openStore(t);
  const wasm = await compileDemo();
  const refused: readonly (readonly [string, Uint8Array | null, string])[] = [
    ['[package]\nname = "demo"', wasm, 'bad_manifest'],
    [MANIFEST, Buffer.from('not wasm'), 'bad_module'],
    [MANIFEST, await compileWat('(module)'), 'bad_module'],
    [MANIFEST, new Uint8Array(33 * 2 ** 20), 'too_large'],
    [`${MANIFEST}[limits]\nmemory_pages = 4`, await compileDemo('(memory 5)'), 'out_of_memory'],
    ['[package]\nname = "demo"\nversion = "1.0.0"', wasm, 'bad_manifest'],
  ];
  for (const [manifestText, code, expected] of refused) {
    const fault = await faultOf(
      store.installCapsule({ principal: 'default', manifestText, wasm: code, source: 'test' }),
    );
    t.equal(fault.code, expected);
  }
  const none = store.installCapsule({ principal: 'default', manifestText: MANIFEST, wasm: null, source: 'test' });
  t.match(await faultOf(none), { code: 'bad_module' });
  const builtin = store.installCapsule({ principal: 'default', manifestText: MANIFEST, wasm, source: 'builtin' });
  t.match(await faultOf(builtin), { code: 'invalid_argument', field: 'source' });
  t.same(await readdir(home), []);
});

test('store, a manifest without a component, installs without code and has nothing to load', async (t) => {
  const { store } = openStore(t);
  const manifestText = '[package]\nname = "demo"\nversion = "1.0.0"\n';
  const installed = await store.installCapsule({ principal: 'default', manifestText, wasm: null, source: 'test' });
  t.equal(installed.hash, null);
  t.match(await faultOf(store.loadInstalled('default', 'demo')), { code: 'bad_manifest', field: 'component' });
});

test('store, namespaces named like parts of every object, change nothing but meta.json', async (t) => {
  const { store } = openStore(t);
  const { meta } = await install(store, `${MANIFEST}[imports]\n"constructor:keys" = "1"\n"prototype:x" = "1"\n`);
  t.same(JSON.parse(JSON.stringify(meta.imports)), { constructor: { keys: '^1' }, prototype: { x: '^1' } });
  t.equal(typeof Object.keys, 'function');
});

test('store, errors, name no path of the host', async (t) => {
  const { home, store } = openStore(t);
  const hash = await store.installBlob(Buffer.from('abc'));
  await chmod(join(home, 'bin'), 0o700);
  await rm(join(home, 'bin'), { recursive: true });
  const gone = await faultOf(new CapsuleStore({ home: join(home, 'gone'), worker }).readVerified(hash));
  const missing = await faultOf(store.loadInstalled('default', 'demo'));
  for (const fault of [gone, missing]) t.notOk(fault.message.includes(home), fault.message);
});

const canMount = spawnSync('unshare', ['-rm', 'true']).status === 0;
test('store, a full disk, is one clear error and leaves what was there', {
  skip: !canMount && 'no mounts',
}, async (t) => {
  const mount = t.testdir();
  const source = `
    import { readdirSync } from 'node:fs';
    import { CapsuleStore } from ${JSON.stringify(new URL('../../supervisor/capsule/store.js', import.meta.url).href)};
    import { blake3 } from ${JSON.stringify(import.meta.resolve('@noble/hashes/blake3.js'))};
    const worker = { hashBlake3: async (b) => ({ hash: Buffer.from(blake3(b)).toString('hex'), bytes: Buffer.from(b) }) };
    const store = new CapsuleStore({ home: ${JSON.stringify(mount)}, worker });
    const kept = await store.installBlob(Buffer.from('kept'));
    const fault = await store.installBlob(Buffer.alloc(200_000, 1)).catch((thrown) => thrown);
    const bytes = await store.readVerified(kept);
    console.log(JSON.stringify({ code: fault.code, message: fault.message, kept: bytes.toString(), left: readdirSync(${JSON.stringify(`${mount}/bin`)}).length }));`;
  const shell = 'mount -t tmpfs -o size=64k none "$1" && exec "$2" --input-type=module -e "$3"';
  const run = spawnSync('unshare', ['-rm', 'sh', '-c', shell, 'sh', mount, process.execPath, source], {
    encoding: 'utf8',
  });
  t.equal(run.status, 0, run.stderr);
  t.match(JSON.parse(run.stdout), { code: 'no_space', message: /ENOSPC/, kept: 'kept', left: 1 });
});
