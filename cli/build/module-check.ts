import { ENTRY_POINTS } from '../../abi/entry-points.js';
import { Fault } from '../../abi/errno.js';
import { LIMITS } from '../../abi/limits.js';
import { syscallByName } from '../../abi/table.js';
import { EXTISM_ENV, EXTISM_ENV_MODULE, EXTISM_USER_MODULE } from '../../abi/wasm/extism-env.js';
import { requirePlainMemory } from '../../abi/wasm/memory-rule.js';
import { readModule, signatureOf, type WasmModule } from '../../abi/wasm/module-reader.js';
import type { WasmImport } from '../../abi/wasm/module-sections.js';
import { joinBounded, quotePrintable } from '../../abi/wasm/printable.js';
import { equalSignatures, type FunctionSignature, formatSignature } from '../../abi/wasm/signature.js';
import { WASI_MODULE, WASI_PREVIEW1 } from '../../abi/wasm/wasi-preview1.js';

/** What imports of `env` are usually there for, and what to write instead. */
const ADVICE: ReadonlyMap<string, string> = new Map([
  ['Date.now', 'use now() of astrid/as/sys'],
  ['performance.now', 'use now() of astrid/as/sys'],
  ['trace', 'use log() of astrid/as/sys'],
  ['console.log', 'use log() of astrid/as/sys'],
  ['abort', 'compile with `astrid build`, or with --use abort='],
]);

/**
 * Looks at a module that was not built from TypeScript as an install will: it is well-formed, imports only what is served,
 * with the right types, bounds its memory and offers an entry point. Throws Fault `bad_module`, `not_served`, `too_large`;
 * each names everything of its kind.
 */
export async function checkModule(wasm: Uint8Array): Promise<void> {
  if (wasm.length > LIMITS.moduleBytesMax) {
    throw new Fault('too_large', `the module has ${wasm.length} bytes, at most ${LIMITS.moduleBytesMax} are accepted`);
  }
  const module = readModule(wasm);
  const wrong = module.imports.flatMap((row) => explainImport(module, row));
  refuse('bad_module', 'the module imports what this system does not have', wrong);
  const unserved = module.imports.filter(
    (row) => row.module === EXTISM_USER_MODULE && syscallByName(row.name)?.since === null,
  );
  const names = unserved.map((row) => row.name);
  refuse('not_served', 'the module imports calls that this version does not serve', names);
  requirePlainMemory(module);
  const entries: readonly string[] = ENTRY_POINTS;
  if (!module.exports.some((row) => entries.includes(row.name))) {
    throw new Fault('bad_module', `the module exports none of ${ENTRY_POINTS.join(', ')}`, { field: 'export section' });
  }
  await WebAssembly.compile(Buffer.from(wasm)).catch((cause: Error) => {
    throw new Fault('bad_module', `the module does not compile: ${cause.message}`, { cause });
  });
}

function refuse(code: 'bad_module' | 'not_served', message: string, reasons: readonly string[]): void {
  if (reasons.length === 0) return;
  throw new Fault(code, `${message}: ${joinBounded([...new Set(reasons)])}`, { field: 'import section' });
}

/** Nothing for an import that is fine. */
function explainImport(module: WasmModule, row: WasmImport): string[] {
  const shown = `${quotePrintable(row.module)}.${quotePrintable(row.name)}`;
  const type = signatureOf(module, row);
  if (type === null) return [`${shown} (${row.kind})`];
  const wanted = signaturesFor(row);
  if (wanted.length === 0) {
    const advice = row.module === 'env' ? ADVICE.get(row.name) : undefined;
    return [advice === undefined ? shown : `${shown} (${advice})`];
  }
  if (wanted.some((one) => equalSignatures(one, type))) return [];
  return [`${shown} as ${formatSignature(type)}, not ${wanted.map(formatSignature).join(' or ')}`];
}

function signaturesFor(row: WasmImport): FunctionSignature[] {
  if (row.module === EXTISM_ENV_MODULE) return [EXTISM_ENV.get(row.name) ?? []].flat();
  if (row.module === WASI_MODULE) return [WASI_PREVIEW1.get(row.name) ?? []].flat();
  const call = row.module === EXTISM_USER_MODULE ? syscallByName(row.name) : undefined;
  if (call === undefined) return [];
  const params = call.params.map(() => 'i64' as const);
  const withResult: FunctionSignature = { params, results: ['i64'] };
  return call.returns === 'void' ? [{ params, results: [] }, withResult] : [withResult];
}
