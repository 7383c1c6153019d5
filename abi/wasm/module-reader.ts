import { Fault } from '../errno.js';
import { LIMITS } from '../limits.js';
import { ByteReader } from './byte-reader.js';
import {
  type LimitsRow,
  readExports,
  readFunctions,
  readImports,
  readMemories,
  readSignature,
  readTables,
  readTypes,
  type WasmExport,
  type WasmImport,
} from './module-sections.js';
import type { FunctionSignature } from './signature.js';

/** Where a section stands: `start` is its id byte, `contentStart` the first byte after its size. */
export interface SectionSpan {
  readonly id: number;
  readonly start: number;
  readonly contentStart: number;
  readonly end: number;
}

/** What a module says about itself, read without compiling it. Code, data and elements are measured, not read. */
export interface WasmModule {
  readonly bytes: Uint8Array;
  readonly sections: readonly SectionSpan[];
  /** Byte offset of each function type. */
  readonly typeOffsets: Uint32Array;
  readonly imports: readonly WasmImport[];
  /** Type index of each function, imported ones first. */
  readonly functionTypes: Uint32Array;
  /** Defined in the module; imported ones are in `imports`. */
  readonly tables: readonly LimitsRow[];
  readonly memories: readonly LimitsRow[];
  readonly exports: readonly WasmExport[];
  readonly startFunction: number | null;
  readonly customSections: readonly string[];
}

export const SECTION = {
  custom: 0,
  type: 1,
  import: 2,
  function: 3,
  table: 4,
  memory: 5,
  export: 7,
  start: 8,
} as const;

/** Names by id, and the order the specification demands: data count stands before code, tags before globals. */
const SECTION_NAMES: readonly string[] = [
  'custom section',
  'type section',
  'import section',
  'function section',
  'table section',
  'memory section',
  'global section',
  'export section',
  'start section',
  'element section',
  'code section',
  'data section',
  'data count section',
  'tag section',
];
const SECTION_RANK: readonly number[] = [0, 1, 2, 3, 4, 5, 7, 8, 9, 10, 12, 13, 11, 6];

const HEADER_BYTES = 8;
const MAGIC = [0x00, 0x61, 0x73, 0x6d];
const SECTIONS_MAX = 1024;

/**
 * Reads the parts of a core module that decide whether it may load.
 * @throws Fault `too_large` above 32 MiB; `bad_module` for anything malformed, with section and byte offset, and for a
 * component. Nothing else is thrown for any bytes; time and memory are linear in their number.
 * Source: WebAssembly core specification 2.0, chapter 5.
 */
export function readModule(bytes: Uint8Array): WasmModule {
  if (bytes.length > LIMITS.moduleBytesMax) {
    throw new Fault('too_large', `module: ${bytes.length} bytes, at most ${LIMITS.moduleBytesMax} are accepted`, {
      field: 'module',
    });
  }
  checkHeader(bytes);
  const sections = readSections(bytes);
  const open = (id: number) => openSection(bytes, sections, id);
  const typeOffsets = decode(open(SECTION.type), readTypes) ?? new Uint32Array();
  const imports = decode(open(SECTION.import), (reader) => readImports(reader, typeOffsets.length)) ?? [];
  const defined = decode(open(SECTION.function), (reader) => readFunctions(reader, typeOffsets.length));
  const tables = decode(open(SECTION.table), readTables) ?? [];
  const memories = decode(open(SECTION.memory), readMemories) ?? [];
  const functionTypes = joinFunctionTypes(imports, defined ?? new Uint32Array());
  const countOf = (kind: string, own: number) => own + imports.filter((row) => row.kind === kind).length;
  const counts = {
    function: functionTypes.length,
    table: countOf('table', tables.length),
    memory: countOf('memory', memories.length),
  };
  const exports = decode(open(SECTION.export), (reader) => readExports(reader, counts)) ?? [];
  const startFunction = decode(open(SECTION.start), (reader) => readStart(reader, functionTypes.length)) ?? null;
  const customSections = sections.filter((span) => span.id === SECTION.custom).map((span) => customName(bytes, span));
  return {
    bytes,
    sections,
    typeOffsets,
    imports,
    functionTypes,
    tables,
    memories,
    exports,
    startFunction,
    customSections,
  };
}

/** The type of an imported or exported function; null for every other kind. */
export function signatureOf(module: WasmModule, row: WasmImport | WasmExport): FunctionSignature | null {
  if (row.kind !== 'function') return null;
  const type = 'index' in row ? module.functionTypes[row.index] : row.typeIndex;
  const offset = module.typeOffsets[type ?? module.typeOffsets.length];
  if (offset === undefined) return null;
  return readSignature(new ByteReader(module.bytes, offset, module.bytes.length, 'type section'), true);
}

function checkHeader(bytes: Uint8Array): void {
  const reader = new ByteReader(bytes, 0, bytes.length, 'header');
  if (bytes.length < HEADER_BYTES || MAGIC.some((byte, index) => bytes[index] !== byte)) {
    reader.fail('not a WebAssembly module: expected 00 61 73 6d and a version');
  }
  const version = bytes[4]! | (bytes[5]! << 8);
  const layer = bytes[6]! | (bytes[7]! << 8);
  if (layer === 1) {
    reader.fail('this is a WebAssembly component; a capsule is a core module that imports extism:host/env', 6);
  }
  if (layer !== 0 || version !== 1) reader.fail(`version ${version} layer ${layer}, expected version 1 layer 0`, 4);
}

function readSections(bytes: Uint8Array): SectionSpan[] {
  const reader = new ByteReader(bytes, HEADER_BYTES, bytes.length, 'module');
  const sections: SectionSpan[] = [];
  let rank = 0;
  while (reader.remaining > 0) {
    const start = reader.offset;
    if (sections.length === SECTIONS_MAX) reader.fail(`more than ${SECTIONS_MAX} sections`);
    const id = reader.readByte('a section id');
    const name = SECTION_NAMES[id] ?? reader.fail(`unknown section ${id}`, start);
    const contentStart = reader.skipSized(`the ${name}`);
    sections.push({ id, start, contentStart, end: reader.offset });
    if (id === SECTION.custom) continue;
    const next = SECTION_RANK[id] ?? 0;
    if (next <= rank) reader.fail(`the ${name} stands twice or out of order`, start);
    rank = next;
  }
  return sections;
}

function openSection(bytes: Uint8Array, sections: readonly SectionSpan[], id: number): ByteReader | null {
  const span = sections.find((section) => section.id === id);
  return span ? new ByteReader(bytes, span.contentStart, span.end, SECTION_NAMES[id] ?? 'section') : null;
}

function decode<T>(reader: ByteReader | null, read: (reader: ByteReader) => T): T | null {
  if (reader === null) return null;
  const value = read(reader);
  reader.requireEnd();
  return value;
}

function readStart(reader: ByteReader, functionCount: number): number {
  const at = reader.offset;
  const index = reader.readU32('the start function');
  if (index >= functionCount) reader.fail(`start function ${index} of ${functionCount}`, at);
  return index;
}

function customName(bytes: Uint8Array, span: SectionSpan): string {
  return new ByteReader(bytes, span.contentStart, span.end, 'custom section').readName('its name');
}

function joinFunctionTypes(imports: readonly WasmImport[], defined: Uint32Array): Uint32Array {
  const imported = imports.flatMap((row) => (row.typeIndex === null ? [] : [row.typeIndex]));
  const joined = new Uint32Array(imported.length + defined.length);
  joined.set(imported);
  joined.set(defined, imported.length);
  return joined;
}
