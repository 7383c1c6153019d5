import fc from 'fast-check';
import { inspectModule } from '../../../abi/wasm/inspect.js';
import { readModule } from '../../../abi/wasm/module-reader.js';
import { clampMemory } from '../../../worker/clamp.js';
import { compileWat, HEADER, section, u32 } from '../../wasm/modules.js';
import { answerOf, applyEdits, editsOf, type FuzzTarget, property } from '../target.js';

const PAGES_MAX = 16;
const ENTRY = '(func (export "run") (result i32) (i32.const 0))';
const TEXTS = [
  `(module ${ENTRY})`,
  `(module (import "extism:host/user" "astrid_kv_get" (func (param i64) (result i64))) (memory 1) ${ENTRY})`,
  `(module (import "extism:host/env" "length" (func (param i64) (result i64))) (memory (export "memory") 2 9)
    (table 4 funcref) (global (mut i32) (i32.const 1)) (data (i32.const 8) "hello") ${ENTRY}
    (func (export "astrid_hook_trigger") (result i32) (local i64 i32) (loop (br_if 0 (i32.const 0))) (i32.const 1)))`,
  `(module (import "wasi_snapshot_preview1" "fd_write" (func (param i32 i32 i32 i32) (result i32)))
    (import "extism:host/user" "astrid_kv_set" (func (param i64 i64))) (import "extism:host/user" "astrid_log" (func (param i64 i64)))
    (memory 0) (table 1 5 externref) (table 2 funcref) (func $s) (start $s) (elem (i32.const 0) $s) ${ENTRY})`,
  `(module (import "env" "memory" (memory 1)) (import "env" "t" (table 1 funcref)) (import "env" "g" (global i32)) ${ENTRY})`,
  `(module (memory i64 1) ${ENTRY})`,
  `(module (memory 1 2 shared) ${ENTRY})`,
];
const CORPUS = await Promise.all(TEXTS.map(async (text) => Buffer.from(await compileWat(text))));

const anyBytes = (maxLength: number) => fc.uint8Array({ maxLength }).map((bytes) => Buffer.from(bytes));
const piece = fc.oneof(
  anyBytes(5),
  fc.nat(0xffff_ffff).map((value) => Buffer.from(u32(value))),
  fc
    .constantFrom(
      '8080808080808080808001',
      'ffffffff0f',
      'ffffffff7f',
      '8000',
      '6000017f',
      '60ffff03',
      '05030100ff',
      '0001c3',
    )
    .map((hex) => Buffer.from(hex, 'hex')),
);
const mutated = fc
  .tuple(fc.constantFrom(...CORPUS), editsOf(piece, 6))
  .map(([bytes, edits]) => applyEdits(bytes, edits));
/** One byte changed keeps most modules valid: these reach the comparison with the engine. */
const flipped = fc.tuple(fc.constantFrom(...CORPUS), fc.nat(400), fc.nat(255)).map(([bytes, at, byte]) => {
  const changed = Buffer.from(bytes);
  changed[8 + (at % (bytes.length - 8))] = byte;
  return changed;
});
const sections = fc
  .array(fc.tuple(fc.nat(14), fc.array(fc.oneof(piece, anyBytes(12)), { maxLength: 4 })), { maxLength: 8 })
  .map((list) =>
    Buffer.from([...HEADER, ...list.flatMap(([id, parts]) => section(id, ...parts.map((one) => [...one])))]),
  );
/** Counts that promise much and bodies that repeat a little: what is slow or takes much memory shows here. */
const large = fc
  .tuple(
    fc.integer({ min: 1, max: 13 }),
    fc.oneof(fc.nat(70_000), fc.nat(0xffff_ffff)),
    anyBytes(4),
    fc.integer({ min: 1, max: 60_000 }),
  )
  .map(([id, count, unit, times]) => {
    const body = Buffer.concat([Buffer.from(u32(count)), Buffer.alloc(unit.length * times, unit)]);
    return Buffer.concat([Buffer.from([...HEADER, id, ...u32(body.length)]), body]);
  });
const module = fc.oneof(mutated, flipped, flipped, sections).map((bytes) => Uint8Array.from(bytes));

const KINDS: Readonly<Record<string, string>> = {
  function: 'function',
  table: 'table',
  memory: 'memory',
  global: 'global',
  tag: 'tag',
};
const named = (rows: readonly { name: string; kind: string }[]) =>
  rows.map(({ name, kind }) => `${kind} ${name}`).join('\n');

export const MODULES: FuzzTarget = [
  property('any module, is described or refused', 3000, module, (bytes) => {
    answerOf(['bad_module', 'not_served', 'too_large'], () => inspectModule(bytes));
    return true;
  }),
  property('a module of large counts, is answered in time', 60, large, (bytes) => {
    answerOf(['bad_module', 'not_served', 'too_large'], () => inspectModule(bytes));
    return true;
  }),
  property('a module that the engine takes, is read as the engine reads it', 2000, module, (bytes) => {
    const read = answerOf(['bad_module'], () => readModule(bytes));
    if (read === null || !WebAssembly.validate(bytes)) return true;
    const compiled = new WebAssembly.Module(bytes);
    const imports = WebAssembly.Module.imports(compiled);
    const isSame = (row: { kind: string }) => KINDS[row.kind] !== undefined;
    return (
      imports.every(isSame) &&
      named(imports) === named(read.imports) &&
      imports.map((row) => row.module).join('\n') === read.imports.map((row) => row.module).join('\n') &&
      named(WebAssembly.Module.exports(compiled)) === named(read.exports)
    );
  }),
  property('a clamped module, is as valid as it was and bounded', 2000, module, (bytes) => {
    const clamped = answerOf(['bad_module', 'out_of_memory'], () => clampMemory(bytes, PAGES_MAX, 100));
    if (clamped === null) return true;
    const after = readModule(clamped);
    const isBounded = after.memories.every(({ max }) => max !== null && max <= PAGES_MAX);
    const elements = after.tables.reduce((sum, { max }) => sum + (max ?? Number.POSITIVE_INFINITY), 0);
    // The other way, too: a bound that does not hold for the engine's reader would bound nothing.
    return (
      isBounded && elements <= 100 && WebAssembly.validate(Uint8Array.from(clamped)) === WebAssembly.validate(bytes)
    );
  }),
];
