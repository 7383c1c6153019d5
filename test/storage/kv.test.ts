import { join } from 'node:path';
import { type Test, test } from 'tap';
import { Fault } from '../../abi/errno.js';
import { LIMITS } from '../../abi/limits.js';
import { KV_LIMITS, type KvLimits, KvStore } from '../../supervisor/storage/kv.js';
import { openStore, type Store } from '../../supervisor/storage/store.js';
import { turnsDuring } from '../kit/turns.js';

function openKv(t: Test, limits: Partial<KvLimits> = {}): { kv: KvStore; store: Store } {
  const store = openStore(join(t.testdir(), 'state'));
  t.teardown(() => store.close());
  return { store, kv: new KvStore(store, { ...KV_LIMITS, ...limits }) };
}

async function faultOf(work: () => unknown): Promise<string> {
  try {
    await work();
    return 'none';
  } catch (thrown) {
    return thrown instanceof Fault ? `${thrown.code} ${thrown.field ?? ''}`.trim() : String(thrown);
  }
}

const bytes = (text: string) => Buffer.from(text);

test('a value, set and read back, is the same bytes, also empty, binary and at its largest', async (t) => {
  const { kv } = openKv(t);
  const values = [
    Buffer.alloc(0),
    Buffer.from([0]),
    Buffer.from([1, 0, 255]),
    Buffer.alloc(LIMITS.kvValueBytesMax, 0xa5),
  ];
  for (const [at, value] of values.entries()) {
    await kv.set('ann', 'fs', `key${at}`, value);
    t.same(kv.get('ann', 'fs', `key${at}`), value, `${value.length} bytes`);
  }
  t.equal(kv.get('ann', 'fs', 'absent'), null);
});

test('a value read from the store, when others are read after it, does not change', async (t) => {
  const { kv } = openKv(t);
  await kv.set('ann', 'fs', 'a', bytes('first'));
  await kv.set('ann', 'fs', 'b', bytes('other'));
  const first = kv.get('ann', 'fs', 'a');
  kv.get('ann', 'fs', 'b');
  t.equal(first?.toString(), 'first');
});

test('a bad key, value or name, is one fault that names the field', async (t) => {
  const { kv } = openKv(t);
  const cases: [string, () => unknown][] = [
    ['invalid_argument key', () => kv.set('ann', 'fs', '', bytes('v'))],
    ['invalid_argument key', () => kv.set('ann', 'fs', 'a\0b', bytes('v'))],
    ['invalid_argument key', () => kv.get('ann', 'fs', '\ud800')],
    ['too_large key', () => kv.set('ann', 'fs', 'k'.repeat(4097), bytes('v'))],
    ['too_large key', () => kv.get('ann', 'fs', 'é'.repeat(2049))],
    ['too_large value', () => kv.set('ann', 'fs', 'k', Buffer.alloc(LIMITS.kvValueBytesMax + 1))],
    ['too_large value', () => kv.compareAndSwap('ann', 'fs', 'k', null, Buffer.alloc(LIMITS.kvValueBytesMax + 1))],
    ['invalid_argument prefix', () => kv.list('ann', 'fs', 'a\0')],
    ['too_large prefix', () => kv.clearPrefix('ann', 'fs', 'p'.repeat(4097))],
    ['invalid_argument principal', () => kv.get('', 'fs', 'k')],
    ['invalid_argument principal', () => kv.get('a\0b', 'fs', 'k')],
    ['invalid_argument capsule', () => kv.get('ann', 'fs\0x', 'k')],
    ['invalid_argument capsule', () => kv.get('ann', 'f'.repeat(129), 'k')],
  ];
  for (const [expected, work] of cases) t.equal(await faultOf(work), expected);
  t.same(await kv.list('ann', 'fs', ''), []);
  t.equal(kv.usage('ann'), 0);
});

test('a key of 4,096 bytes, is kept, listed whole and deleted', async (t) => {
  const { kv } = openKv(t);
  const long = 'x'.repeat(4096);
  await kv.set('ann', 'fs', long, bytes('v'));
  t.equal(kv.get('ann', 'fs', long)?.toString(), 'v');
  t.equal(kv.get('ann', 'fs', long.slice(1)), null);
  t.same(await kv.list('ann', 'fs', 'x'.repeat(2000)), [long]);
  t.equal(await kv.delete('ann', 'fs', long), true);
  t.equal(await kv.delete('ann', 'fs', long), false);
  t.equal(kv.usage('ann'), 0);
});

test('a namespace, when another name starts like it or a key looks like a path into it, stays closed', async (t) => {
  const { kv } = openKv(t);
  const victims: [string, string][] = [
    ['a', 'ab'],
    ['ab', 'a'],
    ['a', 'a'],
    ['a', 'b'],
    ['aa', 'b'],
  ];
  for (const [principal, capsule] of victims) await kv.set(principal, capsule, 'k', bytes(`${principal}/${capsule}`));
  for (const [principal, capsule] of victims) {
    t.equal(kv.get(principal, capsule, 'k')?.toString(), `${principal}/${capsule}`);
    t.same(await kv.list(principal, capsule, ''), ['k']);
  }
  t.equal(await kv.clearPrefix('a', 'a', ''), 1);
  t.equal(kv.get('a', 'ab', 'k')?.toString(), 'a/ab');
  t.equal(kv.get('ab', 'a', 'k')?.toString(), 'ab/a');
  // What would be the separator, were it not refused, and bytes next to it.
  await kv.set('a', 'a', '\u0001', bytes('low'));
  await kv.set('a', 'a', '\u{10ffff}', bytes('high'));
  t.same(await kv.list('a', 'a', ''), ['\u0001', '\u{10ffff}']);
  t.same(await kv.list('a', 'ab', ''), ['k']);
});

test('a compare and swap, tried 200 times in parallel from the same value, wins once', async (t) => {
  const { kv } = openKv(t);
  t.equal(await kv.compareAndSwap('ann', 'fs', 'n', bytes('0'), bytes('1')), false, 'absent is not a value');
  t.equal(await kv.compareAndSwap('ann', 'fs', 'n', null, bytes('0')), true);
  t.equal(await kv.compareAndSwap('ann', 'fs', 'n', null, bytes('9')), false, 'present is not absent');
  const tries = await Promise.all(
    Array.from({ length: 200 }, (_, at) => kv.compareAndSwap('ann', 'fs', 'n', bytes('0'), bytes(`won by ${at}`))),
  );
  t.equal(tries.filter(Boolean).length, 1);
  t.equal(kv.get('ann', 'fs', 'n')?.toString(), `won by ${tries.indexOf(true)}`);
  await kv.set('ann', 'fs', 'empty', Buffer.alloc(0));
  t.equal(await kv.compareAndSwap('ann', 'fs', 'empty', null, bytes('x')), false, 'an empty value is a value');
});

test('a principal at its quota, is refused the byte beyond, in parallel too, and others are not', async (t) => {
  const { kv } = openKv(t, { bytesPerPrincipalMax: 1000 });
  const entry = 'ann'.length + 1 + 'fs'.length + 1 + 1 + 90; // names, separators, a one-byte key, the value
  const writes = Array.from({ length: 26 }, (_, at) =>
    faultOf(() => kv.set('ann', 'fs', String.fromCharCode(97 + at), Buffer.alloc(90))),
  );
  const results = await Promise.all(writes);
  const fit = Math.floor(1000 / entry);
  t.equal(results.filter((result) => result === 'none').length, fit);
  t.equal(results.filter((result) => result === 'quota_exceeded value').length, 26 - fit);
  t.equal(kv.usage('ann'), fit * entry);
  t.equal((await kv.list('ann', 'fs', '')).length, fit);
  t.equal(await faultOf(() => kv.set('bob', 'fs', 'a', Buffer.alloc(900))), 'none', 'another principal');
  t.equal(
    await faultOf(() => kv.set('ann', 'other', 'z', Buffer.alloc(90))),
    'quota_exceeded value',
    'one quota for all capsules',
  );
  t.equal(await faultOf(() => kv.set('ann', 'fs', 'a', Buffer.alloc(1))), 'none', 'shrinking');
  t.equal(await faultOf(() => kv.compareAndSwap('ann', 'fs', 'zz', null, Buffer.alloc(900))), 'quota_exceeded value');
});

test('the usage of a principal, after a restart, is what it was', async (t) => {
  const dir = join(t.testdir(), 'state');
  const first = openStore(dir);
  const before = new KvStore(first);
  await before.set('ann', 'fs', 'a', Buffer.alloc(100));
  await before.set('ann', 'fs', 'x'.repeat(3000), Buffer.alloc(5));
  const usage = before.usage('ann');
  await first.close();
  const second = openStore(dir);
  t.teardown(() => second.close());
  const after = new KvStore(second);
  t.equal(after.usage('ann'), usage);
  t.equal(await after.clearPrefix('ann', 'fs', ''), 2);
  t.equal(after.usage('ann'), 0);
});

test('a clear of more keys than one transaction takes, removes all below the prefix and nothing else', async (t) => {
  const { kv } = openKv(t);
  const keys = Array.from({ length: 5000 }, (_, at) => `log/${at}`);
  await Promise.all([...keys, 'log', 'logs/1'].map((key) => kv.set('ann', 'fs', key, bytes('v'))));
  t.equal((await kv.list('ann', 'fs', 'log/')).length, 5000);
  t.equal(await kv.clearPrefix('ann', 'fs', 'log/'), 5000);
  t.same(await kv.list('ann', 'fs', ''), ['log', 'logs/1']);
});

test('a list that would not fit an answer, is too_large instead of a partial answer', async (t) => {
  const { kv } = openKv(t, { listBytesMax: 64 });
  for (let at = 0; at < 20; at++) await kv.set('ann', 'fs', `key${at}`, bytes('v'));
  t.equal(await faultOf(() => kv.list('ann', 'fs', '')), 'too_large prefix');
  t.same(await kv.list('ann', 'fs', 'key2'), ['key2'], 'a longer prefix fits');
});

test('a walk over many keys that none of them match, lets others have their turn', async (t) => {
  const { kv } = openKv(t);
  const head = 'h'.repeat(1024);
  const keys = Array.from({ length: 5000 }, (_, at) => `${head}${at}`);
  await Promise.all(keys.map((key) => kv.set('ann', 'fs', key, bytes(''))));
  for (const walk of ['clearPrefix', 'list'] as const) {
    const turns = await turnsDuring(() => kv[walk]('ann', 'fs', `${head}x`));
    t.ok(turns >= 2, `${walk}: ${turns} turns`);
  }
  t.equal((await kv.list('ann', 'fs', head)).length, keys.length, 'nothing was removed');
});

test('a walk over few keys with large values, lets others have their turn', async (t) => {
  const { kv } = openKv(t);
  const head = 'h'.repeat(1024);
  const value = Buffer.alloc(LIMITS.kvValueBytesMax);
  for (let at = 0; at < 80; at++) await kv.set('ann', 'fs', `${head}${at}`, value);
  for (const walk of ['clearPrefix', 'list'] as const) {
    const turns = await turnsDuring(() => kv[walk]('ann', 'fs', `${head}x`));
    t.ok(turns >= 2, `${walk}: ${turns} turns`);
  }
});

test('what a capsule stored for everybody, counted and cleared, leaves other capsules of the same people alone', async (t) => {
  const { kv } = openKv(t, { valueBytesMax: 1024 });
  const people = Array.from({ length: 300 }, (_, index) => `p${index}`);
  await Promise.all(people.map((who) => kv.set(who, 'fs', 'k', bytes('v'))));
  await Promise.all(people.map((who) => kv.set(who, 'fs2', 'k', bytes('v'))));
  t.equal(await kv.countAll('fs'), people.length);
  t.equal(await kv.countAll('f'), 0);
  await kv.clearAll('fs');
  t.same([await kv.countAll('fs'), await kv.countAll('fs2')], [0, people.length]);
  t.equal(kv.usage('p7'), kv.usage('p0'));
});
