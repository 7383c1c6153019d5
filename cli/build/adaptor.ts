import { SYSCALL_COUNT } from '../../abi/table.js';
import { BLOCK_FUNCTIONS, ENGINE_CALLBACKS, NATIVE_FUNCTIONS } from './adaptor-engine.js';
import { ENTRY_FUNCTIONS, LOAD_FUNCTIONS } from './adaptor-entry.js';
import { HOST_IMPORTS, QUICKJS_IMPORTS } from './adaptor-imports.js';
import { SEGMENT, TEMPLATE_EXPORT } from './adaptor-layout.js';

const GLOBALS = `
  (global $live (mut i32) (i32.const 0))
  (global $busy (mut i32) (i32.const 0))
  (global $turns (mut i32) (i32.const 0))
  (global $runtime (mut i32) (i32.const 0))
  (global $context (mut i32) (i32.const 0))
  (global $random_state (mut i32) (i32.const 0))
  (global $report_bytes (mut i32) (i32.const 0))
  (global $last_words (mut i64) (i64.const 0))
  (global $enter (mut i64) (i64.const 0))
  (global $finish (mut i64) (i64.const 0))
  (global $on_rejection (mut i64) (i64.const 0))
  (global $on_load_error (mut i64) (i64.const 0))
  (global $describe_load (mut i64) (i64.const 0))`;

/**
 * The module between QuickJS and the host, as text. It is the same for every capsule: linking (link.ts) adds a capsule's
 * host calls as imports. Since imports come first in the numbering of functions, each import added takes the number of
 * one of these empty functions, and no other number in the module changes. They have to be the first defined functions.
 */
export function makeAdaptorText(): string {
  const padding = Array.from({ length: SYSCALL_COUNT }, (_, index) => {
    return `(func (export "${TEMPLATE_EXPORT.padding(index)}"))`;
  });
  return `(module${QUICKJS_IMPORTS}${HOST_IMPORTS}${GLOBALS}
  ${padding.join('\n  ')}
  (export "${TEMPLATE_EXPORT.dispatch}" (func $dispatch))
  (data $script "${SEGMENT.magic}")
${BLOCK_FUNCTIONS}
${NATIVE_FUNCTIONS}
${ENGINE_CALLBACKS}
${LOAD_FUNCTIONS}
${ENTRY_FUNCTIONS})`;
}
