import { Fault } from '../abi/errno.js';
import { WASM_PAGE_BYTES } from '../abi/limits.js';
import { requirePlainMemory } from '../abi/wasm/memory-rule.js';
import { readModule, SECTION, type SectionSpan, type WasmModule } from '../abi/wasm/module-reader.js';
import type { LimitsRow } from '../abi/wasm/module-sections.js';

const PAGES_CEILING = 65_536;

/** All tables of one module together. The engine spends some 16 to 24 bytes on an element, so this is below 24 MiB. */
const TABLE_ELEMENTS_MAX = 1_000_000;

/** New bounds for one memory or table. */
interface Bound {
  readonly row: LimitsRow;
  readonly max: number;
}

/**
 * The module with the ceiling of its memory, and of its tables, written into it, so that the engine itself refuses to
 * grow further. Everything else stays byte for byte; a module that is within its bounds already comes back unchanged.
 * @throws Fault `out_of_memory` when the module starts larger than its limit; `bad_module` for a memory that cannot be
 * bounded (imported, second, shared, 64-bit) or a module that does not parse. Source: design section 3.
 */
export function clampMemory(
  bytes: Uint8Array,
  pagesMax: number,
  tableElementsMax: number = TABLE_ELEMENTS_MAX,
): Uint8Array {
  if (!Number.isInteger(pagesMax) || pagesMax < 1 || pagesMax > PAGES_CEILING) {
    throw new Fault('invalid_argument', `memory limit: ${pagesMax}, expected 1 to ${PAGES_CEILING} pages`, {
      field: 'memory_pages',
    });
  }
  const module = readModule(bytes);
  requirePlainMemory(module);
  const sections = [
    rewriteSection(module, SECTION.table, boundTables(module.tables, tableElementsMax)),
    rewriteSection(module, SECTION.memory, boundMemories(module.memories, pagesMax)),
  ];
  return splice(
    bytes,
    sections.filter((section) => section !== null),
  );
}

function boundMemories(memories: readonly LimitsRow[], pagesMax: number): Bound[] {
  return memories.map((row) => {
    if (row.min > pagesMax) {
      const mib = (pages: number) => (pages * WASM_PAGE_BYTES) / 2 ** 20;
      throw new Fault(
        'out_of_memory',
        `the module starts with ${row.min} memory pages (${mib(row.min)} MiB), its limit is ${pagesMax} (${mib(pagesMax)} MiB)`,
        { field: 'memory section' },
      );
    }
    return { row, max: Math.min(row.max ?? pagesMax, pagesMax) };
  });
}

/** What the minima leave of the budget is shared evenly, so that the sum of all maxima keeps within it. */
function boundTables(tables: readonly LimitsRow[], elementsMax: number): Bound[] {
  const elementsMin = tables.reduce((sum, row) => sum + row.min, 0);
  if (elementsMin > elementsMax) {
    throw new Fault(
      'out_of_memory',
      `the module starts with ${elementsMin} table elements, the limit is ${elementsMax}`,
      { field: 'table section' },
    );
  }
  const slack = tables.length === 0 ? 0 : Math.floor((elementsMax - elementsMin) / tables.length);
  return tables.map((row) => ({ row, max: Math.min(row.max ?? Number.MAX_SAFE_INTEGER, row.min + slack) }));
}

interface NewSection {
  readonly span: SectionSpan;
  readonly bytes: Buffer;
}

function rewriteSection(module: WasmModule, id: number, bounds: readonly Bound[]): NewSection | null {
  const span = module.sections.find((section) => section.id === id);
  if (span === undefined || bounds.every(({ row, max }) => row.max === max)) return null;
  const parts: Uint8Array[] = [];
  let copied = span.contentStart;
  for (const { row, max } of bounds) {
    parts.push(module.bytes.subarray(copied, row.at), Buffer.from([1]), encodeU32(row.min), encodeU32(max));
    copied = row.end;
  }
  parts.push(module.bytes.subarray(copied, span.end));
  const content = Buffer.concat(parts);
  return { span, bytes: Buffer.concat([Buffer.from([id]), encodeU32(content.length), content]) };
}

/** `sections` in file order: the specification puts tables before memories, and the reader has checked it. */
function splice(bytes: Uint8Array, sections: readonly NewSection[]): Uint8Array {
  if (sections.length === 0) return bytes;
  const parts: Uint8Array[] = [];
  let copied = 0;
  for (const { span, bytes: replacement } of sections) {
    parts.push(bytes.subarray(copied, span.start), replacement);
    copied = span.end;
  }
  parts.push(bytes.subarray(copied));
  return Buffer.concat(parts);
}

function encodeU32(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  do {
    const low = rest % 128;
    rest = Math.floor(rest / 128);
    bytes.push(rest > 0 ? low + 128 : low);
  } while (rest > 0);
  return Buffer.from(bytes);
}
