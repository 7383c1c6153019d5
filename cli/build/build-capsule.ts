import { writeFile } from 'node:fs/promises';
import { blake3Hex } from '../../abi/blake3.js';
import { Fault } from '../../abi/errno.js';
import { LIMITS } from '../../abi/limits.js';
import { TEMPLATE_EXPORT } from './adaptor-layout.js';
import { bundleCapsule } from './bundle.js';
import { makeSegment } from './data-segment.js';
import { dropScriptText, keepExports, linkCapsule, planCalls } from './link.js';
import { checkLoading } from './load-check.js';
import { SCRIPT_MEMORY_BYTES_MIN, SCRIPT_STACK_BYTES, scriptMemoryBytes } from './script-limits.js';
import { loadTemplate } from './template.js';
import { preInitialize } from './wizer.js';

export interface BuildOptions {
  /** The capsule's main file. */
  readonly entry: string;
  /** Where to write the module; nothing is written without it. */
  readonly outFile?: string;
  /** Directory of the guest SDK's sources. */
  readonly sdkDir: string;
  /** Shortens names too: smaller, but stack traces name functions by single letters. */
  readonly minify?: boolean;
  /** What the script may allocate; three quarters of the default ceiling of a module when absent. */
  readonly memoryLimitBytes?: number;
  /** Where the merged QuickJS is kept from one process to the next; in this process alone when absent. */
  readonly cacheDir?: string;
}

export interface BuildStep {
  readonly name: string;
  readonly ms: number;
}

export interface BuildResult {
  readonly wasm: Uint8Array;
  /** Hex. */
  readonly hashBlake3: string;
  /** Extism entry points. */
  readonly exports: string[];
  /** `module/name` of each import, sorted. */
  readonly imports: string[];
  readonly bytes: number;
  readonly steps: BuildStep[];
  /** Source map (version 3, JSON) for `mapStack`. */
  readonly sourceMap: string;
  /** Files that went into the script, absolute. */
  readonly inputs: string[];
  /** What the script printed at its top level. */
  readonly printed: string[];
}

/**
 * Builds a TypeScript capsule into one plain Extism module. The same sources give the same bytes, wherever they lie.
 * Throws Fault `invalid_argument` (source that does not parse or fails while it is loaded), `not_found` (an import),
 * `not_supported` (no toolchain for this platform), `too_large`.
 */
export async function buildCapsule(options: BuildOptions): Promise<BuildResult> {
  const steps: BuildStep[] = [];
  const step = async <T>(name: string, work: () => T | Promise<T>): Promise<T> => {
    const startedMs = performance.now();
    const value = await work();
    steps.push({ name, ms: performance.now() - startedMs });
    return value;
  };
  const limits = {
    memoryBytes: requireMemoryLimit(options.memoryLimitBytes ?? scriptMemoryBytes()),
    stackBytes: SCRIPT_STACK_BYTES,
  };
  const template = step('template', () => loadTemplate(options.cacheDir ?? null));
  const bundle = await step('bundle', () =>
    bundleCapsule({ entry: options.entry, sdkDir: options.sdkDir, minify: options.minify === true }),
  ).catch(async (error: unknown) => {
    // Both run at once; a failure of one must not leave the other's without anyone to hear it.
    await template.catch(() => undefined);
    throw error;
  });
  const calls = planCalls(bundle.calls);
  const linked = linkCapsule(await template, calls, makeSegment(calls, bundle, limits));
  const loaded = await step('check', () => checkLoading(linked, bundle.sourceMap));
  const kept = [...loaded.exports, 'memory', '_initialize', TEMPLATE_EXPORT.initialize];
  const initialized = await step('pre-initialise', () => preInitialize(keepExports(linked, kept)));
  const wasm = dropScriptText(initialized);
  const hashBlake3 = await step('hash', () => blake3Hex(wasm));
  const names = requireShape(
    wasm,
    loaded.exports,
    calls.map((call) => call.name),
  );
  if (options.outFile !== undefined) await writeFile(options.outFile, wasm);
  const { sourceMap, inputs } = bundle;
  return {
    wasm,
    hashBlake3,
    ...names,
    bytes: wasm.length,
    steps,
    sourceMap,
    inputs: [...inputs],
    printed: [...loaded.printed],
  };
}

function requireMemoryLimit(bytes: number): number {
  const most = scriptMemoryBytes();
  if (Number.isInteger(bytes) && bytes >= SCRIPT_MEMORY_BYTES_MIN && bytes <= most) return bytes;
  throw new Fault(
    'invalid_argument',
    `memoryLimitBytes: expected ${SCRIPT_MEMORY_BYTES_MIN} to ${most}, got ${bytes}`,
    {
      field: 'memoryLimitBytes',
    },
  );
}

/** Looks at the finished module as its host will: it compiles, and it imports and exports what was meant and no more. */
function requireShape(
  wasm: Uint8Array,
  entries: readonly string[],
  calls: readonly string[],
): { exports: string[]; imports: string[] } {
  if (wasm.length > LIMITS.moduleBytesMax) {
    throw new Fault('too_large', `the module has ${wasm.length} bytes, at most ${LIMITS.moduleBytesMax} are accepted`);
  }
  const module = new WebAssembly.Module(Buffer.from(wasm));
  const exports = WebAssembly.Module.exports(module).map((item) => item.name);
  const imports = WebAssembly.Module.imports(module).map((item) => `${item.module}/${item.name}`);
  const user = imports.filter((name) => name.startsWith('extism:host/user/')).map((name) => name.slice(17));
  const missing = [
    ...calls.filter((name) => !user.includes(name)),
    ...entries.filter((name) => !exports.includes(name)),
  ];
  const extra = [
    ...user.filter((name) => !calls.includes(name)),
    ...exports.filter((name) => name !== 'memory' && !entries.includes(name)),
  ];
  if (missing.length > 0 || extra.length > 0) {
    throw new Fault('internal', `the module lacks [${missing.join(', ')}] and has [${extra.join(', ')}] too many`);
  }
  return { exports: [...entries], imports: imports.sort() };
}
