import { basename, dirname, join } from 'node:path';
import { blake3Hex } from '../../abi/blake3.js';
import { LIMITS } from '../../abi/limits.js';
import { readBelow } from '../capsule/held-file.js';
import { compileAssemblyScript } from './as-compile.js';
import { buildCapsule } from './build-capsule.js';
import type { CapsuleSource } from './capsule-source.js';
import { checkModule } from './module-check.js';

/** What any kind of source comes to. */
export interface BuiltModule {
  readonly wasm: Uint8Array;
  /** Hex. */
  readonly hashBlake3: string;
  readonly bytes: number;
  /** Source map of a TypeScript capsule's script; null for the other kinds. */
  readonly sourceMap: string | null;
  /** Files that went in, absolute. */
  readonly inputs: readonly string[];
  /** What a script printed at its top level. */
  readonly printed: readonly string[];
}

export interface SourceTools {
  /** Sources of the TypeScript SDK; those of the AssemblyScript SDK lie beside them. */
  readonly sdkDir: string;
  readonly cacheDir: string | null;
}

export const asSdkDir = (sdkDir: string): string => join(dirname(sdkDir), 'sdk-as');

/** Builds a capsule of any kind; the same source gives the same bytes. Throws what the kind's own steps throw. */
export function buildSource(source: CapsuleSource, tools: SourceTools): Promise<BuiltModule> {
  return BUILDERS[source.kind](source, tools);
}

type Builder = (source: CapsuleSource, tools: SourceTools) => Promise<BuiltModule>;

const BUILDERS: Readonly<Record<CapsuleSource['kind'], Builder>> = {
  typescript: (source, { sdkDir, cacheDir }) => {
    const { entry, memoryLimitBytes } = source;
    return buildCapsule({ entry, sdkDir, memoryLimitBytes, ...(cacheDir === null ? {} : { cacheDir }) });
  },
  assemblyscript: async ({ dir }, { sdkDir }) => {
    const { wasm, inputs } = await compileAssemblyScript({ dir, sdkDir: asSdkDir(sdkDir) });
    return checked(wasm, inputs);
  },
  module: async ({ dir, entry }) => checked(await readBelow(dir, basename(entry), LIMITS.moduleBytesMax), [entry]),
};

async function checked(wasm: Uint8Array, inputs: readonly string[]): Promise<BuiltModule> {
  await checkModule(wasm);
  return { wasm, hashBlake3: await blake3Hex(wasm), bytes: wasm.length, sourceMap: null, inputs, printed: [] };
}
