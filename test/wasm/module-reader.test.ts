import { test } from 'tap';
import { Fault } from '../../abi/errno.js';
import { readModule, signatureOf } from '../../abi/wasm/module-reader.js';
import { fc } from '../kit/property.js';
import { compileWat, HEADER, moduleOf, name, section, TYPE_SECTION, u32 } from './modules.js';

/** The Fault that reading these bytes ends in. */
function faultOf(bytes: Uint8Array): Fault {
  try {
    readModule(bytes);
  } catch (thrown) {
    if (thrown instanceof Fault) return thrown;
    throw thrown;
  }
  throw new Error('expected a Fault');
}

const FULL_WAT = `(module
  (import "extism:host/env" "alloc" (func $alloc (param i64) (result i64)))
  (import "extism:host/user" "astrid_log" (func (param i64 i64)))
  (import "host" "g" (global i32))
  (memory 2 7)
  (table 3 9 funcref)
  (func $start)
  (func (export "run") (result i32) (i32.const 0))
  (export "memory" (memory 0))
  (export "again" (func $alloc))
  (start $start))`;

test('module reader, a module with one of everything, reports imports, exports, limits and the start function', async (t) => {
  const module = readModule(await compileWat(FULL_WAT));
  t.same(
    module.imports.map((row) => [row.module, row.name, row.kind]),
    [
      ['extism:host/env', 'alloc', 'function'],
      ['extism:host/user', 'astrid_log', 'function'],
      ['host', 'g', 'global'],
    ],
  );
  t.same(signatureOf(module, module.imports[0]!), { params: ['i64'], results: ['i64'] });
  t.equal(signatureOf(module, module.imports[2]!), null);
  t.same(
    module.exports.map((row) => [row.name, row.kind, signatureOf(module, row)]),
    [
      ['run', 'function', { params: [], results: ['i32'] }],
      ['memory', 'memory', null],
      ['again', 'function', { params: ['i64'], results: ['i64'] }],
    ],
  );
  t.match(module.memories, [{ min: 2, max: 7, shared: false, wide: false }]);
  t.match(module.tables, [{ min: 3, max: 9 }]);
  t.equal(module.startFunction, 2);
});

test('module reader, sizes padded to five bytes as linkers write them, reads the same', async (t) => {
  const [plain, padded] = [await compileWat(FULL_WAT), await compileWat(FULL_WAT, { canonical: false })];
  t.not(plain.length, padded.length);
  const names = (bytes: Uint8Array) => readModule(bytes).exports.map((row) => row.name);
  t.same(names(padded), names(plain));
});

test('module reader, custom sections, are listed by name and may stand anywhere', (t) => {
  const module = readModule(moduleOf(section(0, name('first'), [1, 2]), TYPE_SECTION, section(0, name('producers'))));
  t.same(module.customSections, ['first', 'producers']);
  t.end();
});

const huge = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
const imported = (count: number) =>
  section(2, u32(count), Array.from({ length: count }, () => [0, 0, 3, 0x7f, 0]).flat());
const exported = (...names: readonly (readonly number[])[]) =>
  section(7, u32(names.length), ...names.map((one) => [...one, 0, 0]));
const functions = section(3, [1, 0]);

const HOSTILE: readonly { readonly title: string; readonly bytes: Uint8Array; readonly says: RegExp }[] = [
  { title: 'no bytes', bytes: new Uint8Array(), says: /header, byte 0: not a WebAssembly module/ },
  { title: 'another magic', bytes: Uint8Array.from([0x7f, 0x45, 0x4c, 0x46, 1, 0, 0, 0]), says: /header, byte 0/ },
  {
    title: 'a component',
    bytes: Uint8Array.from([0, 0x61, 0x73, 0x6d, 0x0d, 0, 1, 0]),
    says: /header, byte 6: this is a WebAssembly component/,
  },
  { title: 'another version', bytes: Uint8Array.from([0, 0x61, 0x73, 0x6d, 2, 0, 0, 0]), says: /version 2 layer 0/ },
  {
    title: 'a section longer than the file',
    bytes: moduleOf([1, 5, 0]),
    says: /byte 9: the type section claims 5 bytes, 1 are left/,
  },
  { title: 'a section size of 2^64', bytes: moduleOf([1, ...huge]), says: /byte 9: .* longer or larger than 32 bits/ },
  {
    title: 'a size with bits above the 32nd',
    bytes: moduleOf([1, 0xff, 0xff, 0xff, 0xff, 0x1f]),
    says: /larger than 32 bits/,
  },
  { title: 'a section size that ends early', bytes: moduleOf([1, 0x80]), says: /byte 10: ends inside the length/ },
  { title: 'an unknown section', bytes: moduleOf([14, 0]), says: /byte 8: unknown section 14/ },
  {
    title: 'two memory sections',
    bytes: moduleOf(section(5, [1, 0, 1]), section(5, [1, 0, 1])),
    says: /memory section stands twice or out of order/,
  },
  {
    title: 'sections out of order',
    bytes: moduleOf(section(5, [1, 0, 1]), TYPE_SECTION),
    says: /type section stands twice or out of order/,
  },
  {
    title: 'bytes after the last entry',
    bytes: moduleOf(section(1, [1, 0x60, 0, 1, 0x7f, 0])),
    says: /type section, byte 15: 1 bytes left over/,
  },
  {
    title: 'a count that lies',
    bytes: moduleOf(section(1, u32(50_000), [0x60])),
    says: /50000 types do not fit the 1 bytes left/,
  },
  {
    title: 'a count of four billion',
    bytes: moduleOf(section(1, u32(0xffff_ffff))),
    says: /4294967295 types, at most 100000/,
  },
  {
    title: 'a million imports',
    bytes: moduleOf(imported(1_000_000)),
    says: /import section, byte \d+: 1000000 imports, at most 1000/,
  },
  {
    title: 'an import name longer than its section',
    bytes: moduleOf(section(2, [1, 200, 1, 97, 0])),
    says: /claims 200 bytes, 2 are left/,
  },
  {
    title: 'an import name of 1 MiB',
    bytes: moduleOf(section(2, [1], name('x'.repeat(1 << 20)), [0, 0, 0])),
    says: /has 1048576 bytes, at most 4096/,
  },
  {
    title: 'a name that is not UTF-8',
    bytes: moduleOf(section(2, [1, 2, 0xc3, 0x28, 0, 3, 0x7f, 0])),
    says: /not UTF-8/,
  },
  {
    title: 'a name with a surrogate',
    bytes: moduleOf(section(2, [1, 3, 0xed, 0xa0, 0x80, 0, 3, 0x7f, 0])),
    says: /not UTF-8/,
  },
  { title: 'an import of an unknown kind', bytes: moduleOf(section(2, [1, 0, 0, 9, 0])), says: /unknown kind 9/ },
  { title: 'an import of a missing type', bytes: moduleOf(section(2, [1, 0, 0, 0, 7])), says: /type 7 of 0/ },
  { title: 'a type form of another proposal', bytes: moduleOf(section(1, [1, 0x5f, 0, 0])), says: /type form 0x5f/ },
  {
    title: 'an unknown value type',
    bytes: moduleOf(section(1, [1, 0x60, 1, 0x40, 0])),
    says: /unknown value type 0x40/,
  },
  { title: 'a function of a missing type', bytes: moduleOf(TYPE_SECTION, section(3, [1, 4])), says: /type 4 of 1/ },
  {
    title: 'two exports of one name',
    bytes: moduleOf(TYPE_SECTION, functions, exported(name('run'), name('run'))),
    says: /"run" is exported twice/,
  },
  {
    title: 'an export of a missing function',
    bytes: moduleOf(TYPE_SECTION, exported(name('run'))),
    says: /exports function 0 of 0/,
  },
  { title: 'limits with unknown flags', bytes: moduleOf(section(5, [1, 8, 1])), says: /limits flags 0x8/ },
  {
    title: 'a maximum below the minimum',
    bytes: moduleOf(section(5, [1, 1, 5, 2])),
    says: /maximum 2 is below minimum 5/,
  },
  { title: 'a start function that is not there', bytes: moduleOf(section(8, [3])), says: /start function 3 of 0/ },
  { title: 'a custom section without a name', bytes: moduleOf([0, 0]), says: /custom section, byte 10/ },
  {
    title: 'ten thousand sections',
    bytes: moduleOf(...Array.from({ length: 10_000 }, () => section(0, [0]))),
    says: /more than 1024 sections/,
  },
  {
    title: 'a 64-bit limit of eleven bytes',
    bytes: moduleOf(section(5, [1, 4, ...huge.slice(0, 9), 0x80, 1])),
    says: /64 bits/,
  },
];

for (const { title, bytes, says } of HOSTILE) {
  test(`module reader, ${title}, is refused with section and byte offset`, (t) => {
    const fault = faultOf(bytes);
    t.equal(fault.code, 'bad_module');
    t.match(fault.message, says);
    t.match(fault.message, /byte \d+/);
    t.end();
  });
}

test('module reader, a name that begins with a byte order mark, is not taken for the name without it', (t) => {
  const bytes = moduleOf(TYPE_SECTION, functions, exported(name('\ufeffrun')), section(10, [1, 4, 0, 0x41, 0, 0x0b]));
  t.same(
    readModule(bytes).exports.map((row) => row.name),
    ['\ufeffrun'],
  );
  t.same(
    WebAssembly.Module.exports(new WebAssembly.Module(bytes)).map((row) => row.name),
    ['\ufeffrun'],
  );
  t.end();
});

test('module reader, control characters in a name, do not reach the message', (t) => {
  const bad = name('\u001b[2Kevil\u202e');
  const fault = faultOf(moduleOf(TYPE_SECTION, functions, exported(bad, bad)));
  t.match(fault.message, /"\\u\{1b\}\[2Kevil\\u\{202e\}" is exported twice/);
  t.notMatch(fault.message, /[\x00-\x1f\u202e]/);
  t.end();
});

test('module reader, a file of 33 MiB, is too large before anything is read', (t) => {
  t.equal(faultOf(new Uint8Array(33 * 1024 * 1024)).code, 'too_large');
  t.end();
});

test('module reader, random bytes after a valid header, ends in a module or a Fault', (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.boolean(), (noise, framed) => {
      const body = framed ? section((noise[0] ?? 0) % 14, [...noise]) : [...noise];
      readOrFault(Uint8Array.from([...HEADER, ...body]));
    }),
    { numRuns: 3000 },
  );
  t.end();
});

test('module reader, a valid module mutated at random bytes, ends in a module or a Fault', async () => {
  const valid = await compileWat(FULL_WAT);
  const edit = fc.tuple(fc.nat(valid.length - 1), fc.nat(255));
  fc.assert(
    fc.property(fc.array(edit, { minLength: 1, maxLength: 6 }), fc.nat(valid.length), (edits, cut) => {
      const bytes = valid.slice(0, cut % 3 === 0 ? cut : valid.length);
      for (const [at, byte] of edits) if (at < bytes.length) bytes[at] = byte;
      readOrFault(bytes);
    }),
    { numRuns: 3000 },
  );
});

test('module reader, whatever the engine compiles, is read with the same imports and exports or refused', async (t) => {
  const valid = await compileWat(FULL_WAT);
  let compiled = 0;
  fc.assert(
    fc.property(fc.nat(valid.length - 1), fc.nat(255), (at, byte) => {
      const bytes = valid.slice();
      bytes[at] = byte;
      if (!WebAssembly.validate(bytes)) return;
      const engine = new WebAssembly.Module(bytes);
      const module = readOrFault(bytes);
      if (module === null) return;
      compiled += 1;
      const ours = module.exports.map((row) => `${row.kind} ${row.name}`);
      const theirs = WebAssembly.Module.exports(engine).map((row) => `${row.kind} ${row.name}`);
      if (ours.join('\n') !== theirs.join('\n')) throw new Error(`exports differ: ${ours} / ${theirs}`);
      const [a, b] = [module.imports, WebAssembly.Module.imports(engine)].map((rows) =>
        rows.map((row) => `${row.kind} ${row.module} ${row.name}`).join('\n'),
      );
      if (a !== b) throw new Error(`imports differ: ${a} / ${b}`);
    }),
    { numRuns: 2000 },
  );
  t.ok(compiled > 50, `${compiled} mutants compiled`);
});

function readOrFault(bytes: Uint8Array) {
  try {
    return readModule(bytes);
  } catch (thrown) {
    if (!(thrown instanceof Fault)) throw thrown;
    return null;
  }
}
