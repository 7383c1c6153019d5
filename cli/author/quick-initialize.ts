import { Fault } from '../../abi/errno.js';
import type { ByteReader } from '../../abi/wasm/byte-reader.js';
import { TEMPLATE_EXPORT } from '../build/adaptor-layout.js';
import {
  encodeExports,
  encodeU32,
  encodeVector,
  findSection,
  KIND,
  readExports,
  readSections,
  readVector,
  replaceSections,
  SECTION,
  writeSections,
} from '../build/wasm-binary.js';

/**
 * Pre-initialisation in this process instead of by wizer, which compiles the module a second time and takes most of a
 * second: the linked module is run here, and what its memory and globals then hold is written into it. For `capsule dev`
 * alone: what is built for others is made by `astrid build`, whose bytes do not depend on the engine that ran it.
 */
const MEMORY = 5;
const GLOBAL = 6;
const DATA_COUNT = 12;
const PAGE_BYTES = 65_536;
const OPCODE = { end: 0x0b, i32Const: 0x41, i64Const: 0x42 } as const;
const EMPTY_PASSIVE = [1, 0] as const;
/** Zeros of this length end a segment: shorter ones cost less inside than the head of another segment. */
const GAP_BYTES = 32;
const SEGMENTS_MAX = 90_000;

interface GlobalEntry {
  readonly type: number;
  readonly mutable: number;
}

/** Runs the initialiser of a linked module (`lookAtScript`) and gives the module that begins where it ended. */
export function quickInitialize(linked: Uint8Array, entries: readonly string[]): Uint8Array {
  const sections = readSections(linked).filter(({ id }) => id !== SECTION.custom);
  const exports = readExports(findSection(sections, SECTION.export));
  const globals = readVector(findSection(sections, GLOBAL), 'global section', readGlobal).map(({ value }) => value);
  const probe = globals.map((_, index) => ({ name: `dev.global.${index}`, kind: KIND.global, index }));
  const probed = replaceSections(sections, { [SECTION.export]: encodeExports([...exports, ...probe]) });
  const instance = run(writeSections(probed));
  const memory = instance['memory'] as WebAssembly.Memory;
  const bytes = new Uint8Array(memory.buffer);
  const segments = readVector(findSection(sections, SECTION.data), 'data section', skipSegment).map(
    () => EMPTY_PASSIVE,
  );
  const filled = snapshot(bytes);
  const kept = exports.filter(({ name }) => entries.includes(name) || name === 'memory');
  return writeSections(
    replaceSections(sections, {
      [MEMORY]: Uint8Array.from([1, 0, ...encodeU32(bytes.length / PAGE_BYTES)]),
      [GLOBAL]: encodeVector(
        globals.map((entry, index) => encodeGlobal(entry, instance[`dev.global.${index}`] as WebAssembly.Global)),
      ),
      [SECTION.export]: encodeExports(kept),
      [DATA_COUNT]: Uint8Array.from(encodeU32(segments.length + filled.length)),
      [SECTION.data]: Buffer.concat([
        Uint8Array.from(encodeU32(segments.length + filled.length)),
        ...segments.map((segment) => Uint8Array.from(segment)),
        ...filled,
      ]),
    }),
  );
}

function run(module: Uint8Array): Record<string, WebAssembly.ExportValue> {
  const compiled = new WebAssembly.Module(Buffer.from(module));
  const imports: Record<string, Record<string, () => never>> = {};
  for (const { module: from, name } of WebAssembly.Module.imports(compiled)) {
    imports[from] ??= {};
    imports[from][name] = () => {
      throw new Fault('internal', `${from} ${name} was called while the module was built`);
    };
  }
  const { exports } = new WebAssembly.Instance(compiled, imports);
  const functionOf = (name: string) => exports[name] as () => void;
  functionOf('_initialize')();
  functionOf(TEMPLATE_EXPORT.initialize)();
  return exports;
}

/** Active segments that hold everything in memory that is not zero. */
function snapshot(bytes: Uint8Array): Uint8Array[] {
  const words = new BigUint64Array(bytes.buffer, 0, bytes.length / 8);
  const segments: Uint8Array[] = [];
  const gapWords = GAP_BYTES / 8;
  for (let at = 0; at < words.length; at++) {
    if (words[at] === 0n) continue;
    const start = at;
    let end = at + 1;
    for (at = end; at < words.length && at - end < gapWords; at++) if (words[at] !== 0n) end = at + 1;
    // The word it stopped at was not looked at yet.
    at--;
    const head = [0, OPCODE.i32Const, ...encodeSigned(BigInt(start * 8)), OPCODE.end, ...encodeU32((end - start) * 8)];
    segments.push(Buffer.concat([Uint8Array.from(head), bytes.subarray(start * 8, end * 8)]));
  }
  if (segments.length > SEGMENTS_MAX) throw new Fault('internal', `the memory falls into ${segments.length} segments`);
  return segments;
}

function readGlobal(reader: ByteReader): GlobalEntry {
  const type = reader.readByte('a type');
  const mutable = reader.readByte('a mutability');
  const opcode = reader.readByte('an opcode');
  if (opcode !== OPCODE.i32Const && opcode !== OPCODE.i64Const) reader.fail('a global has a computed value');
  while (reader.readByte('a number') >= 0x80);
  if (reader.readByte('an end') !== OPCODE.end) reader.fail('a global has a computed value');
  return { type, mutable };
}

function encodeGlobal({ type, mutable }: GlobalEntry, global: WebAssembly.Global): number[] {
  const value: unknown = global.value;
  const isLong = typeof value === 'bigint';
  const opcode = isLong ? OPCODE.i64Const : OPCODE.i32Const;
  return [type, mutable, opcode, ...encodeSigned(isLong ? value : BigInt(Number(value))), OPCODE.end];
}

function skipSegment(reader: ByteReader): void {
  const flag = reader.readU32('a flag');
  if (flag !== 1) {
    if (flag === 2) reader.readU32('a memory');
    reader.readByte('an opcode');
    reader.readU32('an offset');
    reader.readByte('an end');
  }
  reader.skipSized('a segment');
}

/** LEB128 of a signed number. */
function encodeSigned(value: bigint): number[] {
  const bytes: number[] = [];
  for (let rest = value; ; ) {
    const low = Number(rest & 0x7fn);
    rest >>= 7n;
    const done = (rest === 0n && (low & 0x40) === 0) || (rest === -1n && (low & 0x40) !== 0);
    bytes.push(done ? low : low | 0x80);
    if (done) return bytes;
  }
}
