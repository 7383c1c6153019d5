import { encodeU32, encodeVector, readVector } from './wasm-binary.js';

const TYPE = { function: 0x60, i64: 0x7e, empty: 0x40 } as const;
const OPCODE = {
  unreachable: 0x00,
  if: 0x04,
  end: 0x0b,
  return: 0x0f,
  call: 0x10,
  localGet: 0x20,
  i32Const: 0x41,
  i32Eq: 0x46,
} as const;

export interface DispatchTarget {
  readonly slot: number;
  readonly arity: number;
  /** Number of the imported function. */
  readonly index: number;
}

/**
 * The code entry of `(slot: i32, a: i64, b: i64, c: i64) -> i64`, which calls the import of that slot with as many
 * blocks as it takes, and traps for any other slot.
 */
export function makeDispatchCode(targets: readonly DispatchTarget[]): Uint8Array {
  const noLocals = 0;
  const code: number[] = [noLocals];
  for (const { slot, arity, index } of targets) {
    code.push(OPCODE.localGet, 0, OPCODE.i32Const, ...encodeSlot(slot), OPCODE.i32Eq, OPCODE.if, TYPE.empty);
    for (let argument = 1; argument <= arity; argument++) code.push(OPCODE.localGet, argument);
    code.push(OPCODE.call, ...encodeU32(index), OPCODE.return, OPCODE.end);
  }
  code.push(OPCODE.unreachable, OPCODE.end);
  return Uint8Array.from([...encodeU32(code.length), ...code]);
}

/** Signed LEB128 of a slot: one byte holds up to 63, and there are 49 slots. */
function encodeSlot(slot: number): number[] {
  return slot < 64 ? [slot] : [(slot & 0x7f) | 0x80, slot >> 7];
}

/** The type section, to which the types of host calls are added when it does not have them. */
export class TypeTable {
  readonly #entries: Uint8Array[];

  constructor(body: Uint8Array) {
    const entries = readVector(body, 'type section', (reader) => {
      reader.readByte('a form');
      reader.skipSized('parameters');
      reader.skipSized('results');
    });
    this.#entries = entries.map((entry) => entry.bytes);
  }

  /** Number of the type `(i64 × arity) -> i64`. */
  indexOf(arity: number): number {
    const wanted = Buffer.from([TYPE.function, arity, ...Array<number>(arity).fill(TYPE.i64), 1, TYPE.i64]);
    const found = this.#entries.findIndex((entry) => wanted.equals(entry));
    if (found !== -1) return found;
    return this.#entries.push(wanted) - 1;
  }

  encode(): Uint8Array {
    return encodeVector(this.#entries);
  }
}
