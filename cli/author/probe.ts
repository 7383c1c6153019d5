import { Fault } from '../../abi/errno.js';
import { WASM_PAGE_BYTES } from '../../abi/limits.js';
import { SEGMENT, TEMPLATE_EXPORT } from '../build/adaptor-layout.js';
import { replacePassiveSegment } from '../build/data-segment.js';
import { checkLoading, type LoadedScript, type LoadWatcher, type TemplateExports } from '../build/load-check.js';
import {
  encodeU32,
  encodeVector,
  findSection,
  functionIndex,
  KIND,
  openReader,
  readExports,
  readImports,
  readSections,
  replaceSections,
  SECTION,
  splitSized,
  writeSections,
} from '../build/wasm-binary.js';
import { encodeSigned, exposeGlobals, type Image, takeImage } from './quick-initialize.js';

const ONE_BYTE = new Uint8Array(1);
const OPCODE = {
  unreachable: 0x00,
  if: 0x04,
  end: 0x0b,
  localGet: 0x20,
  i32Const: 0x41,
  i32LtU: 0x49,
  i32GtU: 0x4b,
  i32Add: 0x6a,
  i32And: 0x71,
  memoryCopy: [0xfc, 0x0a, 0, 0],
  memoryFill: [0xfc, 0x0b, 0],
} as const;
const NO_RESULT = 0x40;

/** The last one: while the author edits, it is the same for each script that names the same host calls. */
let last: { readonly bytes: Buffer; readonly module: WebAssembly.Module } | null = null;

interface Probed {
  readonly loaded: LoadedScript;
  /** How the instance stood when the script was loaded. */
  readonly image: Image;
  /** Whether the script came into the module without it; if not, into its own, which takes far longer. */
  readonly isShared: boolean;
}

/**
 * Loads a script as `checkLoading` does. The script comes into a module that does not hold it, so the engine's work on QuickJS,
 * most of the time that a load takes, is done once and not at each edit.
 * @param linked the module with the segment in it
 */
export function loadInProbe(linked: Uint8Array, segment: Uint8Array, sourceMap: string): Probed {
  const exposed = exposeGlobals(linked);
  const { bytes, segmentAt } = makeProbe(exposed);
  if (last?.bytes.equals(bytes) !== true) last = { bytes, module: new WebAssembly.Module(Buffer.from(bytes)) };
  try {
    const put = ({ memory }: TemplateExports) => {
      memory.grow(Math.ceil(segment.length / WASM_PAGE_BYTES));
      new Uint8Array(memory.buffer).set(segment, segmentAt);
    };
    return { ...load(last.module, sourceMap, put), isShared: true };
  } catch (error) {
    if (!(error instanceof WebAssembly.RuntimeError)) throw error;
    // A script whose copy would lie over it; or one that traps by itself, and does so again.
    return { ...load(exposed, sourceMap), isShared: false };
  }
}

function load(
  module: Uint8Array | WebAssembly.Module,
  sourceMap: string,
  onMade?: LoadWatcher['onMade'],
): Omit<Probed, 'isShared'> {
  const images: Image[] = [];
  const onLoaded = (exports: TemplateExports) => void images.push(takeImage(exports));
  const loaded = checkLoading(module, sourceMap, { ...(onMade && { onMade }), onLoaded });
  const [image] = images;
  if (image === undefined) throw new Fault('internal', 'the script was loaded and left no image');
  return { loaded, image };
}

/** Its `fill` takes the segment from behind the memory that the module begins with. */
function makeProbe(exposed: Uint8Array): { readonly bytes: Buffer; readonly segmentAt: number } {
  const sections = readSections(exposed);
  const reader = openReader(findSection(sections, SECTION.memory), 'memory section');
  reader.readU32('a count');
  reader.readU32('a flag');
  const segmentAt = reader.readU32('a minimum') * WASM_PAGE_BYTES;
  const imported = readImports(findSection(sections, SECTION.import)).filter(({ kind }) => kind === KIND.function);
  const fill = functionIndex(readExports(findSection(sections, SECTION.export)), TEMPLATE_EXPORT.fill);
  const codes = splitSized(findSection(sections, SECTION.code), 'code section');
  codes[fill - imported.length] = makeFillCode(segmentAt);
  const changed = replaceSections(sections, {
    [SECTION.code]: encodeVector(codes),
    [SECTION.data]: replacePassiveSegment(findSection(sections, SECTION.data), ONE_BYTE),
  });
  return { bytes: Buffer.from(writeSections(changed)), segmentAt };
}

/**
 * `(to, bytes)`: copies, and after the whole segment (the header comes first) leaves zeros where it lay, as in memory that was
 * never used. A target that overlaps it would be cleared with it: then it traps.
 */
function makeFillCode(segmentAt: number): Uint8Array {
  const from = [OPCODE.i32Const, ...encodeSigned(BigInt(segmentAt))];
  const to = [OPCODE.localGet, 0];
  const bytes = [OPCODE.localGet, 1];
  const code = [
    0,
    ...[...to, ...bytes, OPCODE.i32Add, ...from, OPCODE.i32GtU],
    ...[...to, ...from, ...bytes, OPCODE.i32Add, OPCODE.i32LtU, OPCODE.i32And],
    ...[OPCODE.if, NO_RESULT, OPCODE.unreachable, OPCODE.end],
    ...[...to, ...from, ...bytes, ...OPCODE.memoryCopy],
    ...[...bytes, OPCODE.i32Const, SEGMENT.headerBytes, OPCODE.i32GtU, OPCODE.if, NO_RESULT],
    ...[...from, OPCODE.i32Const, 0, ...bytes, ...OPCODE.memoryFill, OPCODE.end],
    OPCODE.end,
  ];
  return Uint8Array.from([...encodeU32(code.length), ...code]);
}
