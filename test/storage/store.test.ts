import { chmodSync, mkdirSync, statSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Test, test } from 'tap';
import { Fault, type FaultCode } from '../../abi/errno.js';
import { openStore, type Store } from '../../supervisor/storage/store.js';

function openIn(t: Test): { dir: string; store: Store } {
  const dir = join(t.testdir(), 'state');
  const store = openStore(dir);
  t.teardown(() => store.close());
  return { dir, store };
}

function codeOf(thrown: unknown): FaultCode | string {
  return thrown instanceof Fault ? thrown.code : String(thrown);
}

async function refusalOf(work: Promise<unknown>): Promise<string> {
  return work.then(
    () => 'resolved',
    (thrown) => codeOf(thrown),
  );
}

function throwsCode(t: Test, code: FaultCode, work: () => unknown, message: string): void {
  try {
    work();
    t.fail(`${message}: nothing was thrown`);
  } catch (thrown) {
    t.equal(codeOf(thrown), code, message);
  }
}

test('a store, made on first opening, is private from the first byte', async (t) => {
  const { dir } = openIn(t);
  t.equal(statSync(dir).mode & 0o777, 0o700);
  t.equal(statSync(join(dir, 'data.mdb')).mode & 0o777, 0o600);
  t.equal(statSync(join(dir, 'lock.mdb')).mode & 0o777, 0o600);
  const lock = statSync(join(dir, 'lock.mdb'));
  t.ok(lock.blocks * 512 >= lock.size, 'the mapped lock file has no hole that a full disk could not fill');
});

test('a state directory that others can reach, is refused by name and mode', (t) => {
  const dir = join(t.testdir(), 'state');
  mkdirSync(dir);
  chmodSync(dir, 0o755);
  throwsCode(t, 'bad_home', () => openStore(dir), 'open to others');
  t.end();
});

test('a state directory that is a symlink or a file, is refused', (t) => {
  const base = t.testdir();
  mkdirSync(join(base, 'elsewhere'), { mode: 0o700 });
  symlinkSync(join(base, 'elsewhere'), join(base, 'link'));
  writeFileSync(join(base, 'file'), '');
  throwsCode(t, 'bad_home', () => openStore(join(base, 'link')), 'symlink');
  throwsCode(t, 'bad_home', () => openStore(join(base, 'file')), 'file');
  t.end();
});

test('a database file that is a symlink, is not followed even to a good database', async (t) => {
  const base = t.testdir();
  await openStore(join(base, 'elsewhere')).close();
  for (const name of ['data.mdb', 'lock.mdb']) {
    const dir = join(base, `state-${name}`);
    mkdirSync(dir, { mode: 0o700 });
    symlinkSync(`../elsewhere/${name}`, join(dir, name));
    throwsCode(t, 'io_error', () => openStore(dir), name);
  }
});

test('a data file that lost its second meta page, is one clear fault', async (t) => {
  const dir = join(t.testdir(), 'state');
  await openStore(dir).close();
  truncateSync(join(dir, 'data.mdb'), 4096);
  throwsCode(t, 'io_error', () => openStore(dir), 'half a header');
});

test('a file that is no database, is one clear fault', (t) => {
  const dir = join(t.testdir(), 'state');
  mkdirSync(dir, { mode: 0o700 });
  // Each of these would end the process inside lmdb.
  for (const bytes of [Buffer.alloc(64 * 1024, 0x41), Buffer.alloc(64 * 1024), Buffer.from('short')]) {
    writeFileSync(join(dir, 'data.mdb'), bytes, { mode: 0o600 });
    throwsCode(t, 'io_error', () => openStore(dir), `${bytes.length} bytes`);
  }
  t.end();
});

test('a write, after it resolved, is there after reopening', async (t) => {
  const dir = join(t.testdir(), 'state');
  const first = openStore(dir);
  await first.write(() => first.records('meta').put('version', { n: 1 }));
  await first.close();
  const second = openStore(dir);
  t.teardown(() => second.close());
  t.same(second.records('meta').get('version'), { n: 1 });
});

test('a write that throws half-way, leaves nothing and does not disturb its neighbours', async (t) => {
  const { store } = openIn(t);
  const table = store.records('meta');
  const results = await Promise.all([
    refusalOf(store.write(() => table.put('before', 1))),
    refusalOf(
      store.write(() => {
        table.put('half', 1);
        throw new Fault('conflict', 'second thoughts');
      }),
    ),
    refusalOf(store.write(() => table.put('after', 1))),
  ]);
  t.same(results, ['resolved', 'conflict', 'resolved']);
  t.equal(table.get('half'), undefined);
  t.equal(table.get('before'), 1);
  t.equal(table.get('after'), 1);
});

test('a write, when it reads, sees the writes before it in the same commit', async (t) => {
  const { store } = openIn(t);
  const table = store.records('meta');
  const bump = () =>
    store.write(() => {
      const next = ((table.get('n') as number | undefined) ?? 0) + 1;
      table.put('n', next);
      return next;
    });
  const seen = await Promise.all(Array.from({ length: 1000 }, bump));
  t.equal(new Set(seen).size, 1000, 'no two increments read the same value');
  t.equal(table.get('n'), 1000);
});

test('a table, changed outside of a write, refuses', (t) => {
  const { store } = openIn(t);
  throwsCode(t, 'internal', () => store.records('meta').put('a', 1), 'put');
  throwsCode(t, 'internal', () => store.bytes('kv').remove(Buffer.from('a')), 'remove');
  t.end();
});

test('a closed store, answers writes and reads with not_running', async (t) => {
  const store = openStore(join(t.testdir(), 'state'));
  await store.close();
  t.equal(await refusalOf(store.write(() => 1)), 'not_running');
  throwsCode(t, 'not_running', () => store.records('meta').get('a'), 'get');
});

test('a close while a walk is open, waits for it and the walk ends with a fault', async (t) => {
  const store = openStore(join(t.testdir(), 'state'));
  const table = store.records('meta');
  await store.write(() => ['a', 'b', 'c'].map((key) => table.put(key, key)));
  const walk = table.all();
  walk.next();
  let closed = false;
  const closing = store.close().then(() => {
    closed = true;
  });
  await new Promise((resolve) => setImmediate(resolve));
  t.equal(closed, false, 'still open under the cursor');
  throwsCode(t, 'not_running', () => walk.next(), 'next step');
  await closing;
});

test('a record that is not JSON, is undefined to whoever reads the table', async (t) => {
  const { store } = openIn(t);
  const table = store.records('meta');
  await store.write(() => table.put('good', [1]));
  t.same([...table.all()], [['good', [1]]]);
  throwsCode(t, 'invalid_argument', () => table.get(''), 'empty key');
  throwsCode(t, 'invalid_argument', () => table.get('x'.repeat(513)), 'long key');
});
