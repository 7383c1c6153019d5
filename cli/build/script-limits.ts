import { LIMITS, WASM_PAGE_BYTES } from '../../abi/limits.js';

/** A quarter of the module's ceiling is left to what QuickJS does not count: its own data, fragmentation, host blocks. */
const SCRIPT_SHARE = 0.75;

/** Less than this and not even the error about it could be made. */
export const SCRIPT_MEMORY_BYTES_MIN = 1024 * 1024;

/**
 * Some 760 nested calls. A call of QuickJS takes 2 to 15 times as much of the host's stack as of its own, and overflowing
 * that is a trap: ordinary recursion stays an exception on Node's usual 984 KiB (with half of it to spare), parsers of
 * nested text (`JSON.parse`, `eval`) need a host with `--stack-size=3900`.
 */
export const SCRIPT_STACK_BYTES = 192 * 1024;

/** What a script may allocate in a module whose memory may grow to that many pages. */
export function scriptMemoryBytes(pages: number = LIMITS.memoryPagesDefault): number {
  return Math.max(SCRIPT_MEMORY_BYTES_MIN, pages * WASM_PAGE_BYTES * SCRIPT_SHARE);
}
