import { Fault } from '../../abi/errno.js';
import { syscallByName } from '../../abi/table.js';
import { ALWAYS_LINKED, TEMPLATE_EXPORT } from './adaptor-layout.js';
import { replacePassiveSegment } from './data-segment.js';
import { makeDispatchCode, TypeTable } from './dispatch-code.js';
import type { LinkedCall } from './guest-script.js';
import {
  type ExportEntry,
  encodeExports,
  encodeName,
  encodeU32,
  encodeVector,
  findSection,
  functionIndex,
  KIND,
  readExports,
  readImports,
  readSections,
  readVector,
  replaceSections,
  SECTION,
  splitSized,
  writeSections,
} from './wasm-binary.js';

const HOST_MODULE = 'extism:host/user';

/**
 * The calls of a module with their slots: those it names, and those that every module imports, by number.
 * Throws Fault `invalid_argument` for a name that is not in the table.
 */
export function planCalls(names: Iterable<string>): LinkedCall[] {
  const rows = [...new Set([...ALWAYS_LINKED, ...names])].map((name) => {
    const row = syscallByName(name);
    if (row === undefined) throw new Fault('invalid_argument', `${name} is no host call`, { field: name });
    return row;
  });
  rows.sort((left, right) => left.number - right.number);
  return rows.map((row, slot) => ({ name: row.name, slot, arity: row.params.length }));
}

/**
 * The template with a capsule's host calls as imports and its script in the segment. Imports are numbered before defined
 * functions, so each import that is added takes the number of one empty function of the template, which goes. All other
 * numbers stay as they are, and no code but the dispatch function is touched.
 */
export function linkCapsule(template: Uint8Array, calls: readonly LinkedCall[], segment: Uint8Array): Uint8Array {
  const sections = readSections(template);
  const imports = readImports(findSection(sections, SECTION.import));
  const functions = imports.filter((entry) => entry.kind === KIND.function);
  const exports = readExports(findSection(sections, SECTION.export));
  const types = new TypeTable(findSection(sections, SECTION.type));
  const present = new Map(functions.map((entry, index) => [`${entry.module}/${entry.name}`, index]));

  const added: Uint8Array[] = [];
  const targets = calls.map((call) => {
    const known = present.get(`${HOST_MODULE}/${call.name}`);
    if (known !== undefined) return { ...call, index: known };
    const type = encodeU32(types.indexOf(call.arity));
    added.push(Uint8Array.from([...encodeName(HOST_MODULE), ...encodeName(call.name), KIND.function, ...type]));
    return { ...call, index: functions.length + added.length - 1 };
  });

  checkPadding(exports, functions.length, added.length);
  const codes = splitSized(findSection(sections, SECTION.code), 'code section');
  codes[functionIndex(exports, TEMPLATE_EXPORT.dispatch) - functions.length] = makeDispatchCode(targets);
  return writeSections(
    replaceSections(sections, {
      [SECTION.type]: types.encode(),
      [SECTION.import]: encodeVector([...imports.map((entry) => entry.bytes), ...added]),
      [SECTION.function]: dropFunctions(findSection(sections, SECTION.function), added.length),
      // The padding's exports would now name imports.
      [SECTION.export]: encodeExports(
        exports.filter((entry) => entry.index >= functions.length + added.length || entry.kind !== KIND.function),
      ),
      [SECTION.code]: encodeVector(codes.slice(added.length)),
      [SECTION.data]: replacePassiveSegment(findSection(sections, SECTION.data), segment),
    }),
  );
}

/** The same module with no exports but these. */
export function keepExports(module: Uint8Array, names: readonly string[]): Uint8Array {
  const sections = readSections(module);
  const kept = readExports(findSection(sections, SECTION.export)).filter((entry) => names.includes(entry.name));
  return writeSections(replaceSections(sections, { [SECTION.export]: encodeExports(kept) }));
}

/** After pre-initialisation the script is in memory as bytecode, and its text in the segment is dead weight. */
export function dropScriptText(module: Uint8Array): Uint8Array {
  const sections = readSections(module).filter((section) => section.id !== SECTION.custom);
  const data = replacePassiveSegment(findSection(sections, SECTION.data), new Uint8Array(0));
  return writeSections(replaceSections(sections, { [SECTION.data]: data }));
}

/** The empty functions must be the first defined ones, in order, or another function would go in their place. */
function checkPadding(exports: readonly ExportEntry[], first: number, count: number): void {
  for (let index = 0; index < count; index++) {
    if (functionIndex(exports, TEMPLATE_EXPORT.padding(index)) !== first + index) {
      throw new Fault('internal', 'the module template does not begin with its empty functions');
    }
  }
}

function dropFunctions(body: Uint8Array, count: number): Uint8Array {
  const types = readVector(body, 'function section', (reader) => reader.readU32('a type index'));
  return encodeVector(types.slice(count).map((type) => type.bytes));
}
