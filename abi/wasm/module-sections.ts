import type { ByteReader } from './byte-reader.js';
import { quotePrintable } from './printable.js';
import { type FunctionSignature, VALUE_TYPES, type ValueType } from './signature.js';

export type ExternKind = 'function' | 'table' | 'memory' | 'global' | 'tag';

/** Bounds of a memory (64 KiB pages) or a table (elements), and where they stand in the file. */
export interface LimitsRow {
  readonly min: number;
  readonly max: number | null;
  readonly shared: boolean;
  /** memory64 or table64. */
  readonly wide: boolean;
  /** Byte offsets of the flags byte and of what follows the last bound. */
  readonly at: number;
  readonly end: number;
}

export interface WasmImport {
  readonly module: string;
  readonly name: string;
  readonly kind: ExternKind;
  /** For functions only. */
  readonly typeIndex: number | null;
}

export interface WasmExport {
  readonly name: string;
  readonly kind: ExternKind;
  readonly index: number;
}

const EXTERN_KINDS: readonly ExternKind[] = ['function', 'table', 'memory', 'global', 'tag'];

const TYPES_MAX = 100_000;
const VALUES_PER_TYPE_MAX = 1000;
/** 49 host calls, 26 of Extism, 46 of WASI: a thousand leaves room for repeats and none for a flood. */
const IMPORTS_MAX = 1000;
const FUNCTIONS_MAX = 1_000_000;
const EXPORTS_MAX = 10_000;
const TABLES_MAX = 16;
const MEMORIES_MAX = 16;

const FUNCTION_FORM = 0x60;
const REFERENCE_TYPES: ReadonlySet<ValueType> = new Set<ValueType>(['funcref', 'externref']);

/** Byte offset of each function type; the types themselves are decoded on demand, so a flood of them costs nothing. */
export function readTypes(reader: ByteReader): Uint32Array {
  const offsets = new Uint32Array(reader.readCount('types', TYPES_MAX, 3));
  for (let index = 0; index < offsets.length; index++) {
    offsets[index] = reader.offset;
    readSignature(reader, false);
  }
  return offsets;
}

/** One function type. With `keep` false it is checked and not built. */
export function readSignature(reader: ByteReader, keep: boolean): FunctionSignature {
  const form = reader.readByte('a type');
  if (form !== FUNCTION_FORM) {
    reader.fail(`type form 0x${form.toString(16)} is not supported, only function types (0x60)`, reader.offset - 1);
  }
  return {
    params: readValueTypes(reader, 'parameters', keep),
    results: readValueTypes(reader, 'results', keep),
  };
}

function readValueTypes(reader: ByteReader, what: string, keep: boolean): ValueType[] {
  const count = reader.readCount(what, VALUES_PER_TYPE_MAX, 1);
  const types: ValueType[] = [];
  for (let index = 0; index < count; index++) {
    const type = readValueType(reader);
    if (keep) types.push(type);
  }
  return types;
}

function readValueType(reader: ByteReader): ValueType {
  const code = reader.readByte('a value type');
  return VALUE_TYPES.get(code) ?? reader.fail(`unknown value type 0x${code.toString(16)}`, reader.offset - 1);
}

export function readImports(reader: ByteReader, typeCount: number): WasmImport[] {
  const count = reader.readCount('imports', IMPORTS_MAX, 4);
  const imports: WasmImport[] = [];
  for (let index = 0; index < count; index++) {
    const module = reader.readName('the module name of an import');
    const name = reader.readName('the name of an import');
    const kind = readKind(reader);
    imports.push({ module, name, kind, typeIndex: readImportType(reader, kind, typeCount) });
  }
  return imports;
}

function readImportType(reader: ByteReader, kind: ExternKind, typeCount: number): number | null {
  if (kind === 'function') return readTypeIndex(reader, typeCount);
  if (kind === 'table') readTable(reader);
  else if (kind === 'memory') readLimits(reader);
  else if (kind === 'global') {
    readValueType(reader);
    const mutability = reader.readByte('the mutability of a global');
    if (mutability > 1) reader.fail(`mutability ${mutability}, expected 0 or 1`, reader.offset - 1);
  } else {
    const attribute = reader.readByte('the attribute of a tag');
    if (attribute !== 0) reader.fail(`tag attribute ${attribute}, expected 0`, reader.offset - 1);
    readTypeIndex(reader, typeCount);
  }
  return null;
}

function readTypeIndex(reader: ByteReader, typeCount: number): number {
  const at = reader.offset;
  const index = reader.readU32('a type index');
  if (index >= typeCount) reader.fail(`type ${index} of ${typeCount}`, at);
  return index;
}

function readKind(reader: ByteReader): ExternKind {
  const code = reader.readByte('the kind of an import or export');
  return EXTERN_KINDS[code] ?? reader.fail(`unknown kind ${code}`, reader.offset - 1);
}

/** Type index of every function the module defines. */
export function readFunctions(reader: ByteReader, typeCount: number): Uint32Array {
  const types = new Uint32Array(reader.readCount('functions', FUNCTIONS_MAX, 1));
  for (let index = 0; index < types.length; index++) types[index] = readTypeIndex(reader, typeCount);
  return types;
}

export function readTables(reader: ByteReader): LimitsRow[] {
  const count = reader.readCount('tables', TABLES_MAX, 3);
  return Array.from({ length: count }, () => readTable(reader));
}

function readTable(reader: ByteReader): LimitsRow {
  const at = reader.offset;
  const type = readValueType(reader);
  if (!REFERENCE_TYPES.has(type)) reader.fail(`a table of ${type}, expected funcref or externref`, at);
  return readLimits(reader);
}

export function readMemories(reader: ByteReader): LimitsRow[] {
  const count = reader.readCount('memories', MEMORIES_MAX, 2);
  return Array.from({ length: count }, () => readLimits(reader));
}

/** Flags: bit 0 a maximum follows, bit 1 shared, bit 2 64-bit. Others (custom page sizes) are refused. */
function readLimits(reader: ByteReader): LimitsRow {
  const at = reader.offset;
  const flags = reader.readByte('the flags of limits');
  if (flags > 7) reader.fail(`limits flags 0x${flags.toString(16)} are not supported`, at);
  const wide = (flags & 4) !== 0;
  const read = (what: string) => (wide ? reader.readU64(what) : reader.readU32(what));
  const min = read('a minimum');
  const max = (flags & 1) === 0 ? null : read('a maximum');
  if (max !== null && max < min) reader.fail(`maximum ${max} is below minimum ${min}`, at);
  return { min, max, shared: (flags & 2) !== 0, wide, at, end: reader.offset };
}

/** `counts` bounds the index of each kind; a kind that is not in it (global, tag) is left to the engine. */
export function readExports(reader: ByteReader, counts: Partial<Record<ExternKind, number>>): WasmExport[] {
  const count = reader.readCount('exports', EXPORTS_MAX, 3);
  const exports: WasmExport[] = [];
  const seen = new Set<string>();
  for (let position = 0; position < count; position++) {
    const at = reader.offset;
    const name = reader.readName('the name of an export');
    if (seen.has(name)) reader.fail(`${quotePrintable(name)} is exported twice`, at);
    seen.add(name);
    const kind = readKind(reader);
    const index = reader.readU32('the index of an export');
    const known = counts[kind];
    if (known !== undefined && index >= known) reader.fail(`exports ${kind} ${index} of ${known}`, at);
    exports.push({ name, kind, index });
  }
  return exports;
}
