// The Extism kernel: blocks of bytes outside of this module's memory, and the slots for input, output and failure.
// @ts-ignore: decorator
@external("extism:host/env", "alloc")
declare function alloc(bytes: u64): u64;
// @ts-ignore: decorator
@external("extism:host/env", "free")
declare function free(block: u64): void;
// @ts-ignore: decorator
@external("extism:host/env", "length")
declare function length(block: u64): u64;
// @ts-ignore: decorator
@external("extism:host/env", "load_u8")
declare function load_u8(at: u64): u32;
// @ts-ignore: decorator
@external("extism:host/env", "load_u64")
declare function load_u64(at: u64): u64;
// @ts-ignore: decorator
@external("extism:host/env", "store_u8")
declare function store_u8(at: u64, value: u32): void;
// @ts-ignore: decorator
@external("extism:host/env", "store_u64")
declare function store_u64(at: u64, value: u64): void;
// @ts-ignore: decorator
@external("extism:host/env", "input_length")
declare function input_length(): u64;
// @ts-ignore: decorator
@external("extism:host/env", "input_load_u8")
declare function input_load_u8(at: u64): u32;
// @ts-ignore: decorator
@external("extism:host/env", "input_load_u64")
declare function input_load_u64(at: u64): u64;
// @ts-ignore: decorator
@external("extism:host/env", "output_set")
declare function output_set(block: u64, bytes: u64): void;
// @ts-ignore: decorator
@external("extism:host/env", "error_set")
declare function error_set(block: u64): void;

/** Copies bytes into a new block; the empty block is offset 0 (ABI reference 1.1). In words of 8: per byte it is 8 times the calls. */
export function toBlock(bytes: Uint8Array): i64 {
  const size = bytes.length;
  if (size == 0) return 0;
  const block = alloc(size);
  if (block == 0) throw new Error("out of memory: no block of " + size.toString() + " bytes");
  const from = bytes.dataStart;
  const words = size & ~7;
  for (let at = 0; at < words; at += 8) store_u64(block + <u64>at, load<u64>(from + <usize>at));
  for (let at = words; at < size; at++) store_u8(block + <u64>at, <u32>load<u8>(from + <usize>at));
  return <i64>block;
}

/** Copies a block and gives it back. */
export function takeBlock(offset: i64): Uint8Array {
  const block = <u64>offset;
  const size = <i32>length(block);
  const bytes = new Uint8Array(size);
  const to = bytes.dataStart;
  const words = size & ~7;
  for (let at = 0; at < words; at += 8) store<u64>(to + <usize>at, load_u64(block + <u64>at));
  for (let at = words; at < size; at++) store<u8>(to + <usize>at, <u8>load_u8(block + <u64>at));
  giveBack(offset);
  return bytes;
}

/** Freeing what the host freed already is harmless. A run loop never ends, so nobody else would clean up. */
export function giveBack(offset: i64): void {
  if (offset != 0) free(<u64>offset);
}

/** The argument of the running export. */
export function readInput(): Uint8Array {
  const size = <i32>input_length();
  const bytes = new Uint8Array(size);
  const to = bytes.dataStart;
  const words = size & ~7;
  for (let at = 0; at < words; at += 8) store<u64>(to + <usize>at, input_load_u64(<u64>at));
  for (let at = words; at < size; at++) store<u8>(to + <usize>at, <u8>input_load_u8(<u64>at));
  return bytes;
}

export function writeOutput(bytes: Uint8Array): void {
  if (bytes.length > 0) output_set(<u64>toBlock(bytes), <u64>bytes.length);
}

/** The text that goes with a return code other than 0. */
export function writeFailure(text: string): void {
  error_set(<u64>toBlock(encodeText(text.length == 0 ? "failed" : text)));
}

export function encodeText(text: string): Uint8Array {
  return Uint8Array.wrap(String.UTF8.encode(text));
}

export function decodeText(bytes: Uint8Array): string {
  return String.UTF8.decodeUnsafe(bytes.dataStart, <usize>bytes.length);
}
