import { Fault } from '../../abi/errno.js';
import { WASM_PAGE_BYTES } from '../../abi/limits.js';
import type { ByteReader } from '../../abi/wasm/byte-reader.js';
import type { TemplateExports } from '../build/load-check.js';
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
  type Section,
  writeSections,
} from '../build/wasm-binary.js';

/**
 * Pre-initialisation in this process instead of by wizer, which compiles the module a second time and takes most of a
 * second: what memory and globals of the instance hold that the script was tried in, is written into the module. For
 * `capsule dev` alone: what is built for others is made by `astrid build`, whose bytes do not depend on the engine that ran it.
 */
const OPCODE = { end: 0x0b, i32Const: 0x41, i64Const: 0x42 } as const;
const EMPTY_PASSIVE = [1, 0] as const;
/** Zeros of this length end a segment: shorter ones cost less inside than the head of another segment. */
const GAP_BYTES = 32;
const SEGMENTS_MAX = 90_000;

interface GlobalEntry {
  readonly type: number;
  readonly mutable: number;
}

const globalExport = (index: number) => `dev.global.${index}`;

/** What an instance of a linked module held when its script was loaded. */
export interface Image {
  readonly pages: number;
  readonly segments: readonly Uint8Array[];
  readonly globals: readonly (number | bigint)[];
}

/** The linked module, with its globals where `takeImage` finds them. */
export function exposeGlobals(linked: Uint8Array): Uint8Array {
  const sections = readSections(linked);
  const probe = readGlobals(sections).map((_, index) => ({ name: globalExport(index), kind: KIND.global, index }));
  const exports = [...readExports(findSection(sections, SECTION.export)), ...probe];
  return writeSections(replaceSections(sections, { [SECTION.export]: encodeExports(exports) }));
}

/** @param exports of an instance of what `exposeGlobals` made */
export function takeImage(exports: TemplateExports): Image {
  const bytes = new Uint8Array(exports.memory.buffer);
  const globals: (number | bigint)[] = [];
  for (let index = 0; globalExport(index) in exports; index++) {
    globals.push((exports[globalExport(index)] as WebAssembly.Global).value as number | bigint);
  }
  return { pages: bytes.length / WASM_PAGE_BYTES, segments: snapshot(bytes), globals };
}

/** The linked module as it begins where the image was taken, with these exports and its memory. */
export function applyImage(linked: Uint8Array, image: Image, entries: readonly string[]): Uint8Array {
  const sections = readSections(linked).filter(({ id }) => id !== SECTION.custom);
  const globals = readGlobals(sections);
  const passive = readVector(findSection(sections, SECTION.data), 'data section', skipSegment).map(() =>
    Uint8Array.from(EMPTY_PASSIVE),
  );
  const kept = readExports(findSection(sections, SECTION.export)).filter(
    ({ name }) => entries.includes(name) || name === 'memory',
  );
  const count = Uint8Array.from(encodeU32(passive.length + image.segments.length));
  return writeSections(
    replaceSections(sections, {
      [SECTION.memory]: Uint8Array.from([1, 0, ...encodeU32(image.pages)]),
      [SECTION.global]: encodeVector(globals.map((entry, index) => encodeGlobal(entry, image.globals[index]))),
      [SECTION.export]: encodeExports(kept),
      [SECTION.dataCount]: count,
      [SECTION.data]: Buffer.concat([count, ...passive, ...image.segments]),
    }),
  );
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

function readGlobals(sections: readonly Section[]): GlobalEntry[] {
  return readVector(findSection(sections, SECTION.global), 'global section', readGlobal).map(({ value }) => value);
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

function encodeGlobal({ type, mutable }: GlobalEntry, value: number | bigint | undefined): number[] {
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
export function encodeSigned(value: bigint): number[] {
  const bytes: number[] = [];
  for (let rest = value; ; ) {
    const low = Number(rest & 0x7fn);
    rest >>= 7n;
    const done = (rest === 0n && (low & 0x40) === 0) || (rest === -1n && (low & 0x40) !== 0);
    bytes.push(done ? low : low | 0x80);
    if (done) return bytes;
  }
}
