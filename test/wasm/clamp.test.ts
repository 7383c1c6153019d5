import { test } from 'tap';
import { Fault } from '../../abi/errno.js';
import { readModule } from '../../abi/wasm/module-reader.js';
import { clampMemory } from '../../worker/clamp.js';
import { fc } from '../kit/property.js';
import { compileWat, moduleOf, section } from './modules.js';

const GROWING = `(module
  (memory (export "memory") 1)
  (table (export "table") 2 funcref)
  (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
  (func (export "growTable") (param i32) (result i32) (table.grow (ref.null func) (local.get 0)))
  (data (i32.const 0) "kept as it is"))`;

interface Guest {
  grow(pages: number): number;
  growTable(elements: number): number;
  memory: WebAssembly.Memory;
}

function instantiate(bytes: Uint8Array): Guest {
  return new WebAssembly.Instance(new WebAssembly.Module(Uint8Array.from(bytes))).exports as unknown as Guest;
}

function faultOf(work: () => unknown): Fault {
  try {
    work();
  } catch (thrown) {
    if (thrown instanceof Fault) return thrown;
    throw thrown;
  }
  throw new Error('expected a Fault');
}

test('clamp, a module without a maximum, cannot grow past the limit although the original can', async (t) => {
  const original = await compileWat(GROWING);
  t.equal(instantiate(original).grow(64), 1, 'unclamped: memory.grow to 65 pages succeeds');
  const guest = instantiate(clampMemory(original, 16));
  t.equal(guest.grow(64), -1, 'clamped: refused by the engine');
  t.equal(guest.grow(16), -1, 'one page over the limit');
  t.equal(guest.grow(15), 1, 'up to the limit it grows');
  t.equal(guest.grow(1), -1);
  t.equal(guest.memory.buffer.byteLength, 16 * 65_536);
});

test('clamp, a guest that grows its table, is stopped at the bound although the original is not', async (t) => {
  const original = await compileWat(GROWING);
  t.equal(instantiate(original).growTable(2000), 2);
  const guest = instantiate(clampMemory(original, 16, 1000));
  t.equal(guest.growTable(999), -1);
  t.equal(guest.growTable(998), 2);
});

test('clamp, the default bound of tables, stops table.grow by ten million', async (t) => {
  t.equal(instantiate(clampMemory(await compileWat(GROWING), 16)).growTable(10_000_000), -1);
});

test('clamp, everything but the two sections, stays byte for byte', async (t) => {
  const original = await compileWat(GROWING);
  const clamped = clampMemory(original, 16);
  const rest = (bytes: Uint8Array) =>
    readModule(bytes)
      .sections.filter(({ id }) => id !== 4 && id !== 5)
      .map(({ start, end }) => Buffer.from(bytes.subarray(start, end)).toString('hex'));
  t.same(rest(clamped), rest(original));
  t.equal(Buffer.from(instantiate(clamped).memory.buffer, 0, 13).toString(), 'kept as it is');
});

test('clamp, a module within its bounds, comes back unchanged; a second clamp changes nothing', async (t) => {
  const bounded = await compileWat('(module (memory 1 4) (func (export "run") (result i32) (i32.const 0)))');
  t.equal(clampMemory(bounded, 16), bounded);
  const clamped = clampMemory(await compileWat(GROWING), 16);
  t.equal(clampMemory(clamped, 16), clamped);
  const none = await compileWat('(module)');
  t.equal(clampMemory(none, 16), none);
});

test('clamp, a maximum above the limit, is lowered and one below it is kept', async (t) => {
  const above = clampMemory(await compileWat('(module (memory 1 60000))'), 16);
  t.match(readModule(above).memories, [{ min: 1, max: 16 }]);
  const below = clampMemory(await compileWat('(module (memory 1 3))'), 16);
  t.match(readModule(below).memories, [{ min: 1, max: 3 }]);
});

test('clamp, sizes padded to five bytes, are rewritten into a module that compiles', async (t) => {
  const guest = instantiate(clampMemory(await compileWat(GROWING, { canonical: false }), 4));
  t.equal(guest.grow(4), -1);
  t.equal(guest.grow(3), 1);
});

test('clamp, several tables, share one bound', async (t) => {
  const bytes = await compileWat('(module (table 10 funcref) (table 20 externref) (table 0 5 funcref))');
  const tables = readModule(clampMemory(bytes, 16, 1000)).tables;
  t.same(
    tables.map(({ min, max }) => [min, max]),
    [
      [10, 333],
      [20, 343],
      [0, 5],
    ],
  );
  t.ok(tables.reduce((sum, { max }) => sum + (max ?? Number.POSITIVE_INFINITY), 0) <= 1000);
});

test('clamp, a module that starts above its limit, is out of memory and says both numbers', async (t) => {
  const fault = faultOf(() => clampMemory(moduleOf(section(5, [1, 0, 0x81, 0x08])), 1024));
  t.equal(fault.code, 'out_of_memory');
  t.match(fault.message, /1025 memory pages .* limit is 1024/);
  const table = await compileWat('(module (table 2000000 funcref))');
  const tableFault = faultOf(() => clampMemory(table, 16));
  t.equal(tableFault.code, 'out_of_memory');
  t.match(tableFault.message, /2000000 table elements, the limit is 1000000/);
});

const REFUSED: readonly { readonly title: string; readonly wat: string; readonly says: RegExp }[] = [
  { title: 'an imported memory', wat: '(module (import "env" "memory" (memory 1)))', says: /imports a memory/ },
  { title: 'an imported table', wat: '(module (import "env" "table" (table 1 funcref)))', says: /imports a table/ },
  { title: 'a shared memory', wat: '(module (memory 1 2 shared))', says: /shared memory/ },
  { title: 'a 64-bit memory', wat: '(module (memory i64 1))', says: /memory64/ },
];

for (const { title, wat, says } of REFUSED) {
  test(`clamp, ${title}, is refused`, async (t) => {
    const bytes = await compileWat(wat);
    const fault = faultOf(() => clampMemory(bytes, 16));
    t.equal(fault.code, 'bad_module');
    t.match(fault.message, says);
  });
}

test('clamp, a second memory, is refused', (t) => {
  const fault = faultOf(() => clampMemory(moduleOf(section(5, [2, 0, 1, 0, 1])), 16));
  t.match(fault, { code: 'bad_module', message: /defines 2 memories/ });
  t.end();
});

test('clamp, a limit that is no number of pages, is an invalid argument', (t) => {
  for (const pages of [0, -1, 1.5, Number.NaN, 65_537]) {
    t.equal(faultOf(() => clampMemory(moduleOf(), pages)).code, 'invalid_argument');
  }
  t.end();
});

test('clamp, any limits, gives a module whose maximum is within the limit and that the engine accepts', (t) => {
  fc.assert(
    fc.property(
      fc.nat(3000),
      fc.option(fc.nat(65_536), { nil: null }),
      fc.integer({ min: 1, max: 65_536 }),
      (min, max, limit) => {
        if (max !== null && max < min) return;
        const memory = max === null ? [0, ...leb(min)] : [1, ...leb(min), ...leb(max)];
        const bytes = moduleOf(section(5, [1], memory));
        if (min > limit) {
          if (faultOf(() => clampMemory(bytes, limit)).code !== 'out_of_memory') throw new Error('wrong code');
          return;
        }
        const clamped = clampMemory(bytes, limit);
        if (readModule(clamped).memories[0]?.max !== Math.min(max ?? limit, limit)) throw new Error('wrong maximum');
        if (!WebAssembly.validate(Uint8Array.from(clamped))) throw new Error('does not validate');
      },
    ),
    { numRuns: 300 },
  );
  t.end();
});

function leb(value: number): number[] {
  const bytes: number[] = [];
  for (let rest = value; ; rest >>>= 7) {
    if (rest < 128) return [...bytes, rest];
    bytes.push((rest & 127) | 128);
  }
}
