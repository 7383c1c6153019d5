import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { blake3 } from '@noble/hashes/blake3.js';
import { type Test, test } from 'tap';
import { inspectModule } from '../../abi/wasm/inspect.js';
import { RecordChange, undoInterrupted } from '../../supervisor/capsule/record-change.js';
import { CapsuleStore } from '../../supervisor/capsule/store.js';
import { makeGuest } from '../kit/guests.js';

const worker = {
  hashBlake3: async (bytes: Uint8Array) => ({
    hash: Buffer.from(blake3(bytes)).toString('hex'),
    bytes: Buffer.from(bytes),
  }),
  inspectModule: async (bytes: Uint8Array) => ({ report: inspectModule(bytes), bytes: Buffer.from(bytes) }),
};

async function open(t: Test) {
  const home = t.testdir();
  const store = new CapsuleStore({ home, worker });
  const guest = await makeGuest({ name: 'demo' });
  const install = (version: string) =>
    store.installCapsule({
      principal: 'default',
      manifestText: guest.manifest.replace('1.0.0', version),
      wasm: Buffer.from(guest.wasm),
      source: `from ${version}`,
    });
  const record = join(home, 'home/default/.local/capsules/demo');
  const versionNow = async () => (await store.readInstalled('default', 'demo')).manifest.version;
  return { store, install, record, versionNow };
}

test('an upgrade, cut off before it was kept, is undone at the next boot', async (t) => {
  const { store, install, record, versionNow } = await open(t);
  await install('1.0.0');
  const before = readFileSync(join(record, 'meta.json'), 'utf8');
  await RecordChange.begin(store.place, 'default', 'demo');
  await install('2.0.0');
  t.equal(await versionNow(), '2.0.0');
  t.match(await undoInterrupted(store.place, 'default'), { undone: ['demo'], removed: [] });
  t.equal(await versionNow(), '1.0.0');
  t.equal(readFileSync(join(record, 'meta.json'), 'utf8'), before, 'the record is the same to the byte');
  t.notOk(existsSync(join(record, 'undo.json')));
  t.same(await undoInterrupted(store.place, 'default'), { undone: [], removed: [], problems: [] }, 'once');
});

test('an upgrade, cut off between manifest and record, is undone too', async (t) => {
  const { store, install, record, versionNow } = await open(t);
  await install('1.0.0');
  await RecordChange.begin(store.place, 'default', 'demo');
  writeFileSync(join(record, 'Capsule.toml'), '[package]\nname = "demo"\nversion = "3.0.0"\n');
  await t.rejects(versionNow(), { code: 'bad_hash' });
  await undoInterrupted(store.place, 'default');
  t.equal(await versionNow(), '1.0.0');
});

test('a first install, cut off, leaves nothing', async (t) => {
  const { store, install, record } = await open(t);
  await RecordChange.begin(store.place, 'default', 'demo');
  await install('1.0.0');
  t.match(await undoInterrupted(store.place, 'default'), { undone: ['demo'], removed: ['demo'] });
  t.notOk(existsSync(record));
  t.same(await store.listInstalled('default'), { capsules: [], problems: [] });
});

test('a change, kept, is not undone; a second one over one that was cut off goes back to the first', async (t) => {
  const { store, install, versionNow } = await open(t);
  await install('1.0.0');
  const change = await RecordChange.begin(store.place, 'default', 'demo');
  await install('1.1.0');
  await change.keep();
  t.same(await undoInterrupted(store.place, 'default'), { undone: [], removed: [], problems: [] });
  t.equal(await versionNow(), '1.1.0');
  await RecordChange.begin(store.place, 'default', 'demo');
  await install('1.2.0');
  await RecordChange.begin(store.place, 'default', 'demo');
  await install('1.3.0');
  await undoInterrupted(store.place, 'default');
  t.equal(await versionNow(), '1.1.0');
});

test('a removal, cut off after the name was free, is finished', async (t) => {
  const { store, record } = await open(t);
  const left = join(record, '..', '.removed-0123');
  mkdirSync(left, { recursive: true });
  writeFileSync(join(left, 'Capsule.toml'), 'x');
  await undoInterrupted(store.place, 'default');
  t.notOk(existsSync(left));
});

test('what writes left that were cut off, files and an empty record, goes at the next boot, and nothing else does', async (t) => {
  const { store, install, record, versionNow } = await open(t);
  await install('1.0.0');
  const temporary = `.${'ab'.repeat(12)}.tmp`;
  const empty = join(record, '..', 'empty');
  const foreign = join(record, '..', 'foreign');
  const bin = join(record, '../../../../../bin');
  for (const directory of [empty, foreign]) mkdirSync(directory);
  for (const path of [record, empty, bin]) writeFileSync(join(path, temporary), 'half');
  writeFileSync(join(foreign, 'notes.txt'), 'not ours');
  await undoInterrupted(store.place, 'default');
  for (const path of [join(record, temporary), join(bin, temporary), empty]) t.notOk(existsSync(path), path);
  t.ok(existsSync(join(foreign, 'notes.txt')));
  t.equal(await versionNow(), '1.0.0');
});

test('an undo record, damaged, is told by name and nothing is overwritten', async (t) => {
  const { store, install, record, versionNow } = await open(t);
  await install('1.0.0');
  writeFileSync(join(record, 'undo.json'), '{"manifest": 1}');
  t.match(await undoInterrupted(store.place, 'default'), {
    undone: [],
    problems: [{ name: 'demo', fault: { code: 'bad_manifest', field: 'undo.json' } }],
  });
  t.equal(await versionNow(), '1.0.0');
});
