import { ENTRY_POINTS } from '../../abi/entry-points.js';
import type { AbiGeneration } from '../../abi/manifest.js';
import { SYSCALLS } from '../../abi/table.js';
import { assemble, guestText } from '../kit/guest-wat.js';
import { type Arg, LANE, LOOP_CALL, ONCE, PORT, rowOf, type Segment, type Step } from './case.js';

/** Calls the guest imports: what this version serves, in the order of the table. The position is the number in a script. */
export const SCRIPT_CALLS = SYSCALLS.filter(({ since }) => since !== null);

/** Bytes of each result that the guest copies into its answer; of longer ones it tells the length. */
const KEPT_BYTES_MAX = 65_536;
const NO_RESULT = 0xffff_ffff;

/** What one step gave the guest, byte for byte. */
export interface StepResult {
  /** Null for a call that returns nothing in this generation. */
  readonly length: number | null;
  /** The first 64 KiB. */
  readonly bytes: Buffer;
}

/**
 * A guest that does what its input says: a list of calls with raw offsets or blocks of given bytes. It answers with the
 * bytes of every result, untouched. All exports do the same, so that a call can be made in any phase of a capsule's life.
 * With a run loop it makes LOOP_CALL once, writes the answer to this path, is ready, and waits for messages that never come.
 */
export async function makeScriptGuest(generation: AbiGeneration, loopAnswer: string | null = null): Promise<Buffer> {
  const calls = Object.fromEntries(
    SCRIPT_CALLS.map((row) => [
      row.name,
      { params: row.params.length, result: row.returns !== 'void' || generation === 3 },
    ]),
  );
  // `run` would make it a loop, and `astrid_tool_call` is what only the first generation exports.
  const names = ENTRY_POINTS.filter((name) => name !== 'run' && (generation === 1 || name !== 'astrid_tool_call'));
  const exports = Object.fromEntries(names.map((name) => [name, '(call $go)']));
  if (loopAnswer === null) return assemble(guestText({ calls, exports, pages: '64', more: interpreter(generation) }));
  const run = loopBody(Buffer.byteLength(loopAnswer));
  const data = { 64: loopAnswer, 16: '1', 32: '60000' };
  return assemble(guestText({ calls, data, exports: { ...exports, run }, pages: '64', more: interpreter(generation) }));
}

function loopBody(pathBytes: number): string {
  const call = (name: string, ...args: string[]) => {
    const padded = ['', '', ''].map((_, index) => args[index] ?? '(i64.const 0)');
    return `(call $dispatch (i32.const ${SCRIPT_CALLS.findIndex((row) => row.name === name)}) ${padded.join(' ')})`;
  };
  const textAt = (at: number, bytes: number) => `(call $block (i32.const ${at}) (i32.const ${bytes}))`;
  const kept = '(call $block (i32.const 65536) (i32.sub (global.get $out) (i32.const 65536)))';
  return `
    (global.set $out (i32.const 65536))
    (call $keep (i32.const 0) ${call(LOOP_CALL)})
    (drop ${call('astrid_write_file', textAt(64, pathBytes), kept)})
    (drop ${call('astrid_signal_ready')})
    (loop $next (drop ${call('astrid_ipc_recv', textAt(16, 1), textAt(32, 5))}) (br $next))
    (i32.const 1)`;
}

function interpreter(generation: AbiGeneration): string {
  const arms = SCRIPT_CALLS.map((row, index) => {
    const args = ['$a', '$b', '$c'].slice(0, row.params.length).map((name) => `(local.get ${name})`);
    const call = `(call $${row.name} ${args.join(' ')})`;
    const returns = row.returns !== 'void' || generation === 3;
    const then = returns ? `(global.set $has (i32.const 1)) (return ${call})` : `${call} (return (i64.const 0))`;
    return `(if (i32.eq (local.get $n) (i32.const ${index})) (then ${then}))`;
  });
  return `
    (global $pos (mut i64) (i64.const 0))
    (global $has (mut i32) (i32.const 0))
    (global $out (mut i32) (i32.const 0))
    (func $u8 (result i32) (local $at i64)
      (local.set $at (global.get $pos))
      (global.set $pos (i64.add (local.get $at) (i64.const 1)))
      (call $input_load_u8 (local.get $at)))
    (func $u32 (result i32)
      (i32.or (call $u8) (i32.or (i32.shl (call $u8) (i32.const 8))
        (i32.or (i32.shl (call $u8) (i32.const 16)) (i32.shl (call $u8) (i32.const 24))))))
    (func $u64 (result i64)
      (i64.or (i64.extend_i32_u (call $u32)) (i64.shl (i64.extend_i32_u (call $u32)) (i64.const 32))))
    (func $fill (param $to i64) (param $count i32) (param $byte i32) (local $eight i64)
      (local.set $eight (i64.mul (i64.extend_i32_u (local.get $byte)) (i64.const 0x0101010101010101)))
      (block $end (loop $next
        (br_if $end (i32.lt_u (local.get $count) (i32.const 8)))
        (call $store_u64 (local.get $to) (local.get $eight))
        (local.set $to (i64.add (local.get $to) (i64.const 8)))
        (local.set $count (i32.sub (local.get $count) (i32.const 8)))
        (br $next)))
      (block $end (loop $next
        (br_if $end (i32.eqz (local.get $count)))
        (call $store_u8 (local.get $to) (local.get $byte))
        (local.set $to (i64.add (local.get $to) (i64.const 1)))
        (local.set $count (i32.sub (local.get $count) (i32.const 1)))
        (br $next))))
    (func $literal (param $to i64) (param $count i32)
      (block $end (loop $next
        (br_if $end (i32.eqz (local.get $count)))
        (call $store_u8 (local.get $to) (call $u8))
        (local.set $to (i64.add (local.get $to) (i64.const 1)))
        (local.set $count (i32.sub (local.get $count) (i32.const 1)))
        (br $next))))
    (func $arg (result i64) (local $kind i32) (local $to i64) (local $at i64) (local $left i32) (local $count i32) (local $i i32)
      (local.set $kind (call $u8))
      (if (i32.eqz (local.get $kind)) (then (return (call $u64))))
      (if (i32.eq (local.get $kind) (i32.const 2))
        (then (local.set $to (call $alloc (i64.const 8))) (call $free (local.get $to)) (return (local.get $to))))
      (if (i32.eq (local.get $kind) (i32.const 3)) (then
        ;; bytes of an earlier result: its index, then how many of its first bytes are left out
        (local.set $i (i32.add (i32.const 4096) (i32.mul (call $u32) (i32.const 8))))
        (local.set $count (call $u8))
        (return (call $block (i32.add (i32.load (local.get $i)) (local.get $count))
          (i32.sub (i32.load offset=4 (local.get $i)) (local.get $count))))))
      (local.set $to (call $alloc (i64.extend_i32_u (call $u32))))
      (local.set $at (local.get $to))
      (local.set $left (call $u8))
      (block $end (loop $next
        (br_if $end (i32.eqz (local.get $left)))
        (local.set $kind (call $u8))
        (local.set $count (call $u32))
        (if (i32.eqz (local.get $kind))
          (then (call $literal (local.get $at) (local.get $count)))
          (else (call $fill (local.get $at) (local.get $count) (call $u8))))
        (local.set $at (i64.add (local.get $at) (i64.extend_i32_u (local.get $count))))
        (local.set $left (i32.sub (local.get $left) (i32.const 1)))
        (br $next)))
      (local.get $to))
    (func $dispatch (param $n i32) (param $a i64) (param $b i64) (param $c i64) (result i64)
      ${arms.join('\n')}
      (unreachable))
    (func $keep (param $index i32) (param $block i64) (local $bytes i32) (local $i i32) (local $slot i32)
      (local.set $bytes (i32.wrap_i64 (call $length (local.get $block))))
      (i32.store (global.get $out) (select (local.get $bytes) (i32.const -1) (global.get $has)))
      (if (i32.gt_u (local.get $bytes) (i32.const ${KEPT_BYTES_MAX})) (then (local.set $bytes (i32.const ${KEPT_BYTES_MAX}))))
      (i32.store offset=4 (global.get $out) (local.get $bytes))
      (global.set $out (i32.add (global.get $out) (i32.const 8)))
      (local.set $slot (i32.add (i32.const 4096) (i32.mul (local.get $index) (i32.const 8))))
      (i32.store (local.get $slot) (global.get $out))
      (i32.store offset=4 (local.get $slot) (local.get $bytes))
      (block $end (loop $next
        (br_if $end (i32.ge_u (local.get $i) (local.get $bytes)))
        (i32.store8 (i32.add (global.get $out) (local.get $i))
          (call $load_u8 (i64.add (local.get $block) (i64.extend_i32_u (local.get $i)))))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br $next)))
      (global.set $out (i32.add (global.get $out) (local.get $bytes))))
    (func $go (result i32) (local $left i32) (local $index i32) (local $n i32) (local $count i32)
        (local $a i64) (local $b i64) (local $c i64)
      (global.set $pos (i64.const 0))
      (global.set $out (i32.const 65536))
      (local.set $left (call $u32))
      ;; not a script but JSON: the kernel tells of its restart
      (if (i32.gt_u (local.get $left) (i32.const 65535)) (then (return (i32.const 0))))
      (block $end (loop $next
        (br_if $end (i32.ge_u (local.get $index) (local.get $left)))
        (local.set $n (call $u8))
        (local.set $count (call $u8))
        (if (i32.gt_u (local.get $count) (i32.const 0)) (then (local.set $a (call $arg))))
        (if (i32.gt_u (local.get $count) (i32.const 1)) (then (local.set $b (call $arg))))
        (if (i32.gt_u (local.get $count) (i32.const 2)) (then (local.set $c (call $arg))))
        (global.set $has (i32.const 0))
        (call $keep (local.get $index) (call $dispatch (local.get $n) (local.get $a) (local.get $b) (local.get $c)))
        (local.set $index (i32.add (local.get $index) (i32.const 1)))
        (br $next)))
      (call $answer (call $block (i32.const 65536) (i32.sub (global.get $out) (i32.const 65536))))
      (i32.const 0))`;
}

/** Leading bytes of a result that are not its payload. */
export function statusBytes(call: string, generation: AbiGeneration): number {
  return generation === 3 || (generation === 2 && rowOf(call).hostResult) ? 1 : 0;
}

let scripts = 0;

interface ScriptContext {
  readonly generation: AbiGeneration;
  /** Put in the place of LANE and PORT wherever bytes are written out. */
  readonly lane: string;
  readonly port: number;
  /** Further names and what is put in their place. */
  readonly names?: Readonly<Record<string, string>>;
  /** What the steps before it answered to another guest. */
  readonly foreign?: readonly Buffer[];
}

/** A script as the guest reads it. */
export function encodeScript(steps: readonly Step[], within: ScriptContext): Buffer {
  scripts++;
  const encodeOne = ({ call, args }: Step) => {
    const number = SCRIPT_CALLS.findIndex(({ name }) => name === call);
    if (number === -1) throw new Error(`${call} is not served`);
    const skipOf = (index: number) => statusBytes(steps[index]!.call, within.generation);
    return [Buffer.from([number, args.length]), ...args.map((arg) => encodeArg(arg, skipOf, within))];
  };
  return Buffer.concat([u32(steps.length), ...steps.flatMap(encodeOne)]);
}

function encodeArg(arg: Arg, skipOf: (step: number) => number, within: ScriptContext): Buffer {
  switch (arg.kind) {
    case 'raw': {
      const offset = Buffer.alloc(8);
      offset.writeBigUInt64LE(BigInt.asUintN(64, arg.offset));
      return Buffer.concat([Buffer.from([0]), offset]);
    }
    case 'block':
      return encodeBlock(arg.segments, within);
    case 'stale':
      return Buffer.from([2]);
    case 'from':
      return Buffer.concat([Buffer.from([3]), u32(arg.step), Buffer.from([skipOf(arg.step)])]);
    case 'foreign':
      return encodeBlock([{ literal: foreignBytes(within.foreign?.[arg.step], arg.field) }], within);
  }
}

function foreignBytes(payload: Buffer | undefined, field: string | null): Buffer {
  if (payload === undefined) throw new Error('the other guest has not answered');
  return field === null ? payload : Buffer.from(String(Reflect.get(JSON.parse(payload.toString('utf8')), field)));
}

function encodeBlock(written: readonly Segment[], within: ScriptContext): Buffer {
  const named = written.map((one) => ('literal' in one ? { literal: fillIn(one.literal, within) } : one));
  const lengthOf = (one: Segment) => ('literal' in one ? one.literal.length : 'count' in one ? one.count : 0);
  const sumOf = (all: readonly Segment[]) => all.reduce((sum, one) => sum + lengthOf(one), 0);
  const fixed = sumOf(named);
  const segments = named.map((one) => ('upTo' in one ? { byte: one.byte, count: one.upTo - fixed } : one));
  const total = sumOf(segments);
  const parts = segments.map((one) =>
    'literal' in one
      ? Buffer.concat([Buffer.from([0]), u32(one.literal.length), one.literal])
      : Buffer.concat([Buffer.from([1]), u32(one.count), Buffer.from([one.byte])]),
  );
  return Buffer.concat([Buffer.from([1]), u32(total), Buffer.from([segments.length]), ...parts]);
}

function fillIn(literal: Buffer, { lane, port, names: more }: ScriptContext): Buffer {
  const names = { ...more, [LANE]: lane, [ONCE]: `${scripts}`, [PORT]: `${port}` };
  // Bytes that are not UTF-8 stay as they are.
  if (!Object.keys(names).some((name) => literal.includes(name))) return literal;
  return Buffer.from(
    Object.entries(names).reduce((text, [name, value]) => text.replaceAll(name, value), literal.toString('utf8')),
  );
}

function u32(value: number): Buffer {
  const four = Buffer.alloc(4);
  four.writeUInt32LE(value);
  return four;
}

export function decodeResults(output: Buffer): StepResult[] {
  const results: StepResult[] = [];
  for (let at = 0; at < output.length; ) {
    const length = output.readUInt32LE(at);
    const kept = output.readUInt32LE(at + 4);
    results.push({ length: length === NO_RESULT ? null : length, bytes: output.subarray(at + 8, at + 8 + kept) });
    at += 8 + kept;
  }
  return results;
}
