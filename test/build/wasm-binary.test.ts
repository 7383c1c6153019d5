import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { test } from 'tap';
import { replacePassiveSegment } from '../../cli/build/data-segment.js';
import { makeDispatchCode, TypeTable } from '../../cli/build/dispatch-code.js';
import {
  encodeExports,
  encodeU32,
  encodeVector,
  findSection,
  openReader,
  readExports,
  readImports,
  readSections,
  SECTION,
  splitSized,
  writeSections,
} from '../../cli/build/wasm-binary.js';
import { fc } from '../kit/property.js';

const quickjs = readFileSync(createRequire(import.meta.url).resolve('quickjs-wasi/quickjs.wasm'));

test('numbers of 32 bits are read as they were written', (t) => {
  fc.assert(
    fc.property(fc.nat(0xffff_ffff), (value) => {
      const reader = openReader(Uint8Array.from(encodeU32(value)), 'test');
      return reader.readU32('a number') === value && reader.remaining === 0;
    }),
  );
  t.end();
});

test('a module taken apart and put together again has the same bytes', (t) => {
  const sections = readSections(quickjs);
  t.ok(Buffer.from(writeSections(sections)).equals(quickjs), 'sections');
  const imports = findSection(sections, SECTION.import);
  t.ok(Buffer.from(encodeVector(readImports(imports).map((entry) => entry.bytes))).equals(imports), 'imports');
  const exports = findSection(sections, SECTION.export);
  t.ok(Buffer.from(encodeExports(readExports(exports))).equals(exports), 'exports');
  const code = findSection(sections, SECTION.code);
  t.equal(
    splitSized(code, 'code').reduce((sum, item) => sum + item.length, 0),
    code.length - 2,
    'code',
  );
  t.same(Buffer.from(new TypeTable(findSection(sections, SECTION.type)).encode()), findSection(sections, SECTION.type));
  t.throws(() => findSection(sections, 99), { code: 'internal' });
  t.end();
});

test('a module cut short is refused wherever it is cut', (t) => {
  fc.assert(
    fc.property(fc.integer({ min: 9, max: quickjs.length - 1 }), (length) => {
      const known = new Set(readSections(quickjs).map((section) => section.id));
      try {
        return readSections(quickjs.subarray(0, length)).length < known.size;
      } catch (error) {
        return (error as { code?: string }).code === 'bad_module';
      }
    }),
    { numRuns: 50 },
  );
  t.end();
});

test('a type is added once and found again', (t) => {
  const types = new TypeTable(Uint8Array.from([0]));
  t.same(
    [0, 3, 1, 3, 0].map((arity) => types.indexOf(arity)),
    [0, 1, 2, 1, 0],
  );
  t.equal(types.encode()[0], 3);
  t.end();
});

test('only a filled passive segment is replaced, and there must be exactly one', (t) => {
  const active = [0, 0x41, 0x80, 0x80, 0x04, 0x0b, 2, 7, 7];
  const passive = [1, 3, 1, 2, 3];
  const emptied = [1, 0];
  const replaced = replacePassiveSegment(encodeVector([active, emptied, passive]), Uint8Array.from([9]));
  t.same([...replaced], [3, ...active, ...emptied, 1, 1, 9]);
  t.throws(() => replacePassiveSegment(encodeVector([active]), replaced), { code: 'internal' });
  t.throws(() => replacePassiveSegment(encodeVector([passive, passive]), replaced), { code: 'internal' });
  t.end();
});

test('dispatch code calls each slot’s function with as many blocks as it takes, and traps for other slots', async (t) => {
  const target = (slot: number, arity: number) => ({ slot, arity, index: slot });
  const targets = [target(0, 0), target(1, 1), target(2, 2), target(3, 3)];
  const i64 = 0x7e;
  const types = [0, 1, 2, 3].map((arity) => [0x60, arity, ...Array<number>(arity).fill(i64), 1, i64]);
  const imports = targets.map(({ slot }) => [1, 0x6d, 1, 0x30 + slot, 0, slot]);
  const module = writeSections([
    { id: SECTION.type, body: encodeVector([...types, [0x60, 4, 0x7f, i64, i64, i64, 1, i64]]) },
    { id: SECTION.import, body: encodeVector(imports) },
    { id: SECTION.function, body: encodeVector([[4]]) },
    { id: SECTION.export, body: encodeExports([{ name: 'dispatch', kind: 0, index: 4 }]) },
    { id: SECTION.code, body: encodeVector([makeDispatchCode(targets)]) },
  ]);
  const calls: bigint[][] = [];
  const given = Object.fromEntries(
    targets.map(({ slot }) => [String(slot), (...args: bigint[]) => calls.push(args) && 5n]),
  );
  const { instance } = await WebAssembly.instantiate(Buffer.from(module), { m: given });
  const dispatch = instance.exports['dispatch'] as (slot: number, ...args: bigint[]) => bigint;
  t.same(
    [0, 1, 2, 3].map((slot) => dispatch(slot, 1n, 2n, 3n)),
    [5n, 5n, 5n, 5n],
  );
  t.same(calls, [[], [1n], [1n, 2n], [1n, 2n, 3n]]);
  t.throws(() => dispatch(4, 1n, 2n, 3n), WebAssembly.RuntimeError);
});
