import { Fault } from '../../abi/errno.js';
import type { ByteReader } from '../../abi/wasm/byte-reader.js';
import { GUEST_FILE, SCRIPT_FILE, SEGMENT } from './adaptor-layout.js';
import { type LinkedCall, makeGuestScript } from './guest-script.js';
import { makeStackTable } from './guest-stack.js';
import { encodeU32, encodeVector, readVector } from './wasm-binary.js';

const FLAG = { passive: 1, activeWithMemory: 2 } as const;
const OPCODE_END = 0x0b;

export interface ScriptLimits {
  /** What QuickJS may allocate; below the module's ceiling, so that passing it is an exception and not a trap. */
  readonly memoryBytes: number;
  /** How much of its 1 MiB shadow stack QuickJS may use; below what the host's own stack allows. */
  readonly stackBytes: number;
}

/** The bytes that carry a capsule's script into the module; the layout is that of `SEGMENT`. */
export function makeSegment(
  calls: readonly LinkedCall[],
  { script, sourceMap }: { readonly script: string; readonly sourceMap: string },
  limits: ScriptLimits,
): Uint8Array {
  const guest = Buffer.from(makeGuestScript(calls, makeStackTable(SCRIPT_FILE, sourceMap)), 'utf8');
  const text = Buffer.from(script, 'utf8');
  const end = Buffer.from([0]);
  const files = Buffer.from(`${SCRIPT_FILE}\0${GUEST_FILE}\0`, 'utf8');
  const segment = Buffer.concat([Buffer.alloc(SEGMENT.headerBytes), files, guest, end, text, end]);
  const words = [segment.length, limits.memoryBytes, limits.stackBytes, guest.length, text.length];
  for (const [index, word] of words.entries()) segment.writeUInt32LE(word, index * 4);
  return segment;
}

/**
 * A data section whose one passive segment holds other bytes; its number, which code refers to, stays the same. Empty
 * passive segments are what wizer makes of the active ones that it replaces, and stay.
 */
export function replacePassiveSegment(body: Uint8Array, bytes: Uint8Array): Uint8Array {
  let replaced = 0;
  const segments = readVector(body, 'data section', readSegment).map((segment) => {
    if (segment.value.flag !== FLAG.passive || segment.value.length === 0) return segment.bytes;
    replaced++;
    return Buffer.concat([Uint8Array.from([FLAG.passive, ...encodeU32(bytes.length)]), bytes]);
  });
  if (replaced !== 1) throw new Fault('internal', `the module has ${replaced} filled passive segments instead of one`);
  return encodeVector(segments);
}

function readSegment(reader: ByteReader): { flag: number; length: number } {
  const flag = reader.readU32('a flag');
  if (flag !== FLAG.passive) {
    if (flag === FLAG.activeWithMemory) reader.readU32('a memory');
    // An offset is `i32.const n end`. The number is signed, but its bytes end like those of an unsigned one.
    reader.readByte('an opcode');
    reader.readU32('an offset');
    if (reader.readByte('an end') !== OPCODE_END) reader.fail('a data segment has a computed offset');
  }
  const start = reader.skipSized('a segment');
  return { flag, length: reader.offset - start };
}
