import { join } from 'node:path';
import { test } from 'tap';
import { KV_LIMITS, KvStore } from '../../supervisor/storage/kv.js';
import { encodeKey, encodeNamespace, INLINE_KEY_BYTES_MAX, rangeOfPrefix } from '../../supervisor/storage/kv-key.js';
import { openStore } from '../../supervisor/storage/store.js';
import { fc } from '../kit/property.js';

/** Few distinct heads around the bound where the stored form changes, so that keys collide and share prefixes. */
const tail = fc.string({
  unit: fc.constantFrom('a', 'b', '\u0001', '/', 'é', '𐍈', '\u{10ffff}', '\uffff'),
  maxLength: 4,
});
const head = fc.constantFrom(
  '',
  'a',
  'k/',
  'x'.repeat(INLINE_KEY_BYTES_MAX - 1),
  'x'.repeat(INLINE_KEY_BYTES_MAX),
  'x'.repeat(INLINE_KEY_BYTES_MAX + 1),
  `${'x'.repeat(INLINE_KEY_BYTES_MAX - 1)}é`, // the bound falls inside a character
  'é'.repeat(1500),
  'x'.repeat(4000),
);
const text = fc.tuple(head, tail).map(([first, second]) => first + second);
const key = text.filter((value) => value.length > 0);
const space = fc.constantFrom<[string, string]>(['a', 'b'], ['a', 'bb'], ['aa', 'b']);
const value = fc.uint8Array({ maxLength: 40 });

const command = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('set' as const), space, key, value }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('delete' as const), space, key }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('swap' as const), space, key, value, expected: value }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('clear' as const), space, prefix: text }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('list' as const), space, prefix: text }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('get' as const), space, key }) },
);
type Command = typeof command extends fc.Arbitrary<infer T> ? T : never;

/** The simplest thing that could be right: one Map per namespace, keys compared as bytes. */
class Model {
  readonly #spaces = new Map<string, Map<string, Buffer>>();

  of([principal, capsule]: [string, string]): Map<string, Buffer> {
    const name = `${principal}|${capsule}`;
    const found = this.#spaces.get(name) ?? new Map<string, Buffer>();
    this.#spaces.set(name, found);
    return found;
  }

  list(at: [string, string], prefix: string): string[] {
    const keys = [...this.of(at).keys()].filter((name) => name.startsWith(prefix));
    return keys.sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  }

  usage(principal: string): number {
    let sum = 0;
    for (const [name, entries] of this.#spaces) {
      const [owner, capsule] = name.split('|') as [string, string];
      if (owner !== principal) continue;
      for (const [entry, stored] of entries) {
        const { physical, full } = encodeKey(encodeNamespace(owner, capsule), entry);
        sum += physical.length + stored.length + (full === null ? 0 : 2 + full.length);
      }
    }
    return sum;
  }
}

async function apply(kv: KvStore, model: Model, next: Command): Promise<[unknown, unknown]> {
  const [principal, capsule] = next.space;
  const entries = model.of(next.space);
  switch (next.kind) {
    case 'set':
      entries.set(next.key, Buffer.from(next.value));
      return [await kv.set(principal, capsule, next.key, next.value), undefined];
    case 'delete':
      return [await kv.delete(principal, capsule, next.key), entries.delete(next.key)];
    case 'swap': {
      const present = entries.get(next.key);
      const expected = next.value.length % 2 === 0 && present !== undefined ? present : next.expected;
      const equal = present?.equals(expected) ?? false;
      if (equal) entries.set(next.key, Buffer.from(next.value));
      return [await kv.compareAndSwap(principal, capsule, next.key, expected, next.value), equal];
    }
    case 'clear': {
      const doomed = model.list(next.space, next.prefix);
      for (const name of doomed) entries.delete(name);
      return [await kv.clearPrefix(principal, capsule, next.prefix), doomed.length];
    }
    case 'list':
      return [await kv.list(principal, capsule, next.prefix), model.list(next.space, next.prefix)];
    case 'get':
      return [kv.get(principal, capsule, next.key), entries.get(next.key) ?? null];
  }
}

test('the key-value store, under any sequence of calls, behaves like a sorted Map and counts its bytes exactly', async (t) => {
  const store = openStore(join(t.testdir(), 'state'));
  t.teardown(() => store.close());
  const kv = new KvStore(store, KV_LIMITS);
  let calls = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(command, { minLength: 5, maxLength: 40, size: 'max' }), async (commands) => {
      for (const [principal, capsule] of [
        ['a', 'b'],
        ['a', 'bb'],
        ['aa', 'b'],
      ] as const) {
        await kv.clearPrefix(principal, capsule, '');
      }
      const model = new Model();
      for (const next of commands) {
        const [got, expected] = await apply(kv, model, next);
        calls++;
        if (JSON.stringify(got) !== JSON.stringify(expected)) {
          throw new Error(`${next.kind}: ${JSON.stringify(got)} instead of ${JSON.stringify(expected)}`);
        }
      }
      for (const principal of ['a', 'aa']) {
        if (kv.usage(principal) !== model.usage(principal)) throw new Error(`usage of ${principal} is off`);
      }
      if ((await kv.count('a', 'b')) !== model.list(['a', 'b'], '').length) throw new Error('the count is off');
    }),
    { numRuns: 100 },
  );
  t.ok(calls > 1000, `${calls} calls compared`);
});

test('a physical key, for any key and any prefix of it, lies in the range of that prefix and never in another namespace', (t) => {
  const any = fc.string({ unit: 'binary', minLength: 1, maxLength: 1200 }).filter((name) => isKey(name));
  fc.assert(
    fc.property(any, fc.nat(), space, space, (name, cut, mine, theirs) => {
      const namespace = encodeNamespace(...mine);
      const { physical } = encodeKey(namespace, name);
      const bytes = Buffer.from(name);
      const inside = (at: [string, string], prefix: Buffer) => {
        const range = rangeOfPrefix(encodeNamespace(...at), prefix);
        return physical.compare(range.start) >= 0 && physical.compare(range.end) < 0;
      };
      if (!inside(mine, bytes.subarray(0, cut % (bytes.length + 1)))) return false;
      return mine.join() === theirs.join() || !inside(theirs, Buffer.alloc(0));
    }),
    { numRuns: 500 },
  );
  t.end();
});

function isKey(name: string): boolean {
  return !name.includes('\0') && !/\p{Surrogate}/u.test(name) && Buffer.byteLength(name) <= 4096;
}
