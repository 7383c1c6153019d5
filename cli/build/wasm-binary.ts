import { Fault } from '../../abi/errno.js';
import { ByteReader } from '../../abi/wasm/byte-reader.js';

/**
 * Taking a module apart into sections and items and putting it together again. Only modules that the build made itself
 * come here; what others bring is read by abi/wasm. Numbers are those of the core specification 2.0, section 5.5.
 */
export const SECTION = {
  custom: 0,
  type: 1,
  import: 2,
  function: 3,
  memory: 5,
  global: 6,
  export: 7,
  code: 10,
  data: 11,
  dataCount: 12,
} as const;
export const KIND = { function: 0, table: 1, memory: 2, global: 3 } as const;

const HEADER = [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00];

export interface Section {
  readonly id: number;
  readonly body: Uint8Array;
}

export interface ImportEntry {
  readonly module: string;
  readonly name: string;
  readonly kind: number;
  readonly bytes: Uint8Array;
}

export interface ExportEntry {
  readonly name: string;
  readonly kind: number;
  readonly index: number;
}

/** LEB128 of an unsigned number. */
export function encodeU32(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  do {
    bytes.push((rest & 0x7f) | (rest > 0x7f ? 0x80 : 0));
    rest >>>= 7;
  } while (rest > 0);
  return bytes;
}

export function encodeName(text: string): number[] {
  const bytes = Buffer.from(text, 'utf8');
  return [...encodeU32(bytes.length), ...bytes];
}

/** A vector: how many, then the items as they are. */
export function encodeVector(items: readonly (readonly number[] | Uint8Array)[]): Uint8Array {
  return Buffer.concat([Uint8Array.from(encodeU32(items.length)), ...items.map((item) => Uint8Array.from(item))]);
}

export function openReader(bytes: Uint8Array, what: string): ByteReader {
  return new ByteReader(bytes, 0, bytes.length, what);
}

export function readSections(module: Uint8Array): Section[] {
  const reader = openReader(module, 'module');
  reader.offset = HEADER.length;
  const sections: Section[] = [];
  while (reader.remaining > 0) {
    const id = reader.readByte('a section');
    const start = reader.skipSized('a section');
    sections.push({ id, body: module.subarray(start, reader.offset) });
  }
  return sections;
}

/** The module of these sections, in the order given. */
export function writeSections(sections: readonly Section[]): Uint8Array {
  const parts: Uint8Array[] = [Uint8Array.from(HEADER)];
  for (const { id, body } of sections) parts.push(Uint8Array.from([id, ...encodeU32(body.length)]), body);
  return Buffer.concat(parts);
}

export function findSection(sections: readonly Section[], id: number): Uint8Array {
  const found = sections.find((section) => section.id === id);
  if (found === undefined) throw new Fault('internal', `the module has no section ${id}`);
  return found.body;
}

/** The same sections with some bodies replaced. */
export function replaceSections(sections: readonly Section[], bodies: Readonly<Record<number, Uint8Array>>): Section[] {
  return sections.map((section) => ({ id: section.id, body: bodies[section.id] ?? section.body }));
}

/** The number that a function is exported under. Throws Fault `internal`: only modules of our own template are asked. */
export function functionIndex(exports: readonly ExportEntry[], name: string): number {
  const found = exports.find((entry) => entry.name === name && entry.kind === KIND.function);
  if (found === undefined) throw new Fault('internal', `the module template has no function ${name}`);
  return found.index;
}

/** The items of a vector of items that begin with their own length, as code entries do; the length is kept. */
export function splitSized(body: Uint8Array, what: string): Uint8Array[] {
  return readVector(body, what, (reader) => void reader.skipSized('an item')).map((item) => item.bytes);
}

export function readImports(body: Uint8Array): ImportEntry[] {
  const entries = readVector(body, 'import section', (reader) => {
    const module = reader.readName('a module name');
    const name = reader.readName('an import name');
    const kind = reader.readByte('a kind');
    skipImportType(reader, kind);
    return { module, name, kind };
  });
  return entries.map(({ value, bytes }) => ({ ...value, bytes }));
}

export function readExports(body: Uint8Array): ExportEntry[] {
  const entries = readVector(body, 'export section', (reader) => ({
    name: reader.readName('an export name'),
    kind: reader.readByte('a kind'),
    index: reader.readU32('an index'),
  }));
  return entries.map((entry) => entry.value);
}

export function encodeExports(entries: readonly ExportEntry[]): Uint8Array {
  return encodeVector(entries.map(({ name, kind, index }) => [...encodeName(name), kind, ...encodeU32(index)]));
}

/** Reads each item of a vector and hands it out with the bytes it was read from. */
export function readVector<T>(
  body: Uint8Array,
  what: string,
  read: (reader: ByteReader) => T,
): { value: T; bytes: Uint8Array }[] {
  const reader = openReader(body, what);
  const count = reader.readCount('items', body.length, 1);
  return Array.from({ length: count }, () => {
    const start = reader.offset;
    const value = read(reader);
    return { value, bytes: body.subarray(start, reader.offset) };
  });
}

function skipImportType(reader: ByteReader, kind: number): void {
  if (kind === KIND.function) reader.readU32('a type index');
  else if (kind === KIND.global) reader.offset += 2;
  else {
    if (kind === KIND.table) reader.readByte('a reference type');
    const bounded = reader.readByte('limits') & 1;
    reader.readU32('a minimum');
    if (bounded === 1) reader.readU32('a maximum');
  }
}
