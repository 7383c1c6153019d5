import { Fault } from '../errno.js';
import type { WasmModule } from './module-reader.js';

/**
 * One plain memory, defined by the module itself. Anything else would be memory that the clamp cannot bound: an
 * imported memory or table is sized by whoever gives it, a second memory is a second limit, a shared one can be grown
 * from another thread, and memory64 has no ceiling worth the name.
 * @throws Fault `bad_module`
 */
export function requirePlainMemory(module: WasmModule): void {
  const refuse = (message: string, field: string): never => {
    throw new Fault('bad_module', `module: ${message}`, { field });
  };
  for (const row of module.imports) {
    if (row.kind === 'memory' || row.kind === 'table') {
      refuse(`imports a ${row.kind}; a capsule defines its own`, 'import section');
    }
  }
  if (module.memories.length > 1) refuse(`defines ${module.memories.length} memories, at most 1`, 'memory section');
  for (const memory of module.memories) {
    if (memory.shared) refuse('has a shared memory', 'memory section');
    if (memory.wide) refuse('has a 64-bit memory (memory64)', 'memory section');
  }
  for (const table of module.tables) {
    if (table.shared) refuse('has a shared table', 'table section');
    if (table.wide) refuse('has a 64-bit table (table64)', 'table section');
  }
}
