import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { blake3Hex } from '../../abi/blake3.js';
import { SYSCALLS } from '../../abi/table.js';
import { findPackageRoot } from '../package-root.js';
import { asSdkDir, type BuiltModule, buildSource } from './build-source.js';
import { type CapsuleSource, readCapsuleSource } from './capsule-source.js';
import { isBelow } from './confine.js';
import { readToolVersions } from './tool-versions.js';

const SKIPPED = new Set(['node_modules', '.git']);

export interface CachedBuild {
  readonly name: string;
  readonly action: 'built' | 'unchanged';
  readonly wasmFile: string;
  readonly hashBlake3: string;
  readonly bytes: number;
  /** What the build reported; null when nothing was built. */
  readonly result: BuiltModule | null;
}

export interface CachedBuildOptions {
  readonly sdkDir: string;
  /** Where the merged QuickJS is kept; `toolchainDirectory()` when absent. */
  readonly cacheDir?: string;
  /** Builds even when nothing changed. */
  readonly force?: boolean;
}

/** What is written beside a module: from what it was made, and which bytes came out. */
interface Stamp {
  readonly key: string;
  readonly hashBlake3: string;
  readonly bytes: number;
  /** False for modules that were not made from a script; absent in stamps of before there were others. */
  readonly hasMap?: boolean;
  /** Files from outside the capsule and the SDK (dependencies) with their hashes. */
  readonly others: Readonly<Record<string, string>>;
}

/**
 * Builds a capsule directory (`Capsule.toml`, and `main.ts`, `assembly/index.ts` or a ready module) to `<outDir>/<name>/`:
 * `<name>.wasm`, `<name>.wasm.map` of TypeScript, and a copy of the manifest. Does nothing when the sources, the SDK, the tools and this code are what the files there were made of,
 * and the module there is still what was made. Throws what `buildSource` throws, and Fault `bad_manifest`.
 */
export async function buildIfChanged(dir: string, outDir: string, options: CachedBuildOptions): Promise<CachedBuild> {
  const source = await readCapsuleSource(dir);
  const target = join(outDir, source.name);
  const wasmFile = join(target, `${source.name}.wasm`);
  const key = await makeKey(source, options.sdkDir);
  const known = options.force === true ? null : await readStamp(wasmFile);
  if (known !== null && known.key === key && (await isCurrent(known, wasmFile))) {
    const { hashBlake3, bytes } = known;
    return { name: source.name, action: 'unchanged', wasmFile, hashBlake3, bytes, result: null };
  }
  const { sdkDir, cacheDir = toolchainDirectory() } = options;
  const result = await buildSource(source, { sdkDir, cacheDir });
  const { hashBlake3, bytes } = result;
  const others = await hashOthers(result.inputs, [source.dir, sdkDir, asSdkDir(sdkDir)]);
  await mkdir(target, { recursive: true });
  // The stamp goes first and comes back last: whatever interrupts this, the next run builds again.
  await rm(stampOf(wasmFile), { force: true });
  await replaceFile(wasmFile, result.wasm);
  if (result.sourceMap === null) await rm(`${wasmFile}.map`, { force: true });
  else await replaceFile(`${wasmFile}.map`, result.sourceMap);
  await replaceFile(join(target, 'Capsule.toml'), source.manifestText);
  const stamp: Stamp = { key, hashBlake3, bytes, hasMap: result.sourceMap !== null, others };
  await replaceFile(stampOf(wasmFile), JSON.stringify(stamp));
  return { name: source.name, action: 'built', wasmFile, hashBlake3, bytes, result };
}

/** What builds keep between them lies with the package, and never among what they put out. */
function toolchainDirectory(): string {
  return join(findPackageRoot(fileURLToPath(import.meta.url)), '.build', 'toolchain');
}

/** Removes the outputs of capsules that are not among these names; directories without our stamp are left alone. */
export async function removeStaleOutputs(outDir: string, names: readonly string[]): Promise<string[]> {
  const removed: string[] = [];
  for (const entry of await readdir(outDir, { withFileTypes: true }).catch(() => [])) {
    if (!entry.isDirectory() || names.includes(entry.name)) continue;
    const directory = join(outDir, entry.name);
    if ((await readStamp(join(directory, `${entry.name}.wasm`))) === null) continue;
    await rm(directory, { recursive: true, force: true });
    removed.push(entry.name);
  }
  return removed;
}

function stampOf(wasmFile: string): string {
  return `${wasmFile}.stamp`;
}

/** A stamp that is missing or damaged is none: the capsule is built again. */
async function readStamp(wasmFile: string): Promise<Stamp | null> {
  try {
    const stamp = JSON.parse(await readFile(stampOf(wasmFile), 'utf8')) as Partial<Stamp> | null;
    const whole = typeof stamp?.key === 'string' && typeof stamp.hashBlake3 === 'string';
    return whole && typeof stamp.bytes === 'number' && typeof stamp.others === 'object' ? (stamp as Stamp) : null;
  } catch {
    return null;
  }
}

async function isCurrent(stamp: Stamp, wasmFile: string): Promise<boolean> {
  if ((await hashFile(wasmFile)) !== stamp.hashBlake3) return false;
  if (stamp.hasMap !== false && (await hashFile(`${wasmFile}.map`)) === null) return false;
  for (const [file, hash] of Object.entries(stamp.others)) {
    if ((await hashFile(file)) !== hash) return false;
  }
  return true;
}

/** Everything that the module's bytes depend on and that is known before building. */
async function makeKey(source: CapsuleSource, sdkDir: string): Promise<string> {
  const ownCode = fileURLToPath(new URL('.', import.meta.url));
  const parts = [
    await hashDirectory(source.dir),
    await hashDirectory(source.kind === 'assemblyscript' ? asSdkDir(sdkDir) : sdkDir),
    await hashDirectory(ownCode),
    JSON.stringify(SYSCALLS),
    JSON.stringify(readToolVersions()),
    source.manifestText,
  ];
  return digest(JSON.stringify(parts));
}

async function hashDirectory(directory: string): Promise<string> {
  const lines: string[] = [];
  const walk = async (at: string): Promise<void> => {
    const entries = await readdir(at, { withFileTypes: true });
    for (const entry of entries.sort((left, right) => (left.name < right.name ? -1 : 1))) {
      if (SKIPPED.has(entry.name)) continue;
      const path = join(at, entry.name);
      // A link counts for what it shows; only a file can be part of a bundle through one.
      const isFile =
        entry.isFile() || (entry.isSymbolicLink() && (await stat(path).catch(() => null))?.isFile() === true);
      if (entry.isDirectory()) await walk(path);
      else if (isFile) lines.push(`${relative(directory, path).split(sep).join('/')}\0${await hashFile(path)}`);
    }
  };
  await walk(directory);
  return digest(lines.join('\n'));
}

/** Inputs that lie outside these directories, with their hashes. */
async function hashOthers(inputs: readonly string[], inside: readonly string[]): Promise<Record<string, string>> {
  const others: Record<string, string> = {};
  for (const file of inputs) {
    if (isBelow(inside, file) && !file.includes(`${sep}node_modules${sep}`)) continue;
    const hash = await hashFile(file);
    if (hash !== null) others[file] = hash;
  }
  return others;
}

async function hashFile(file: string): Promise<string | null> {
  const bytes = await readFile(file).catch(() => null);
  return bytes === null ? null : blake3Hex(bytes);
}

function digest(text: string): Promise<string> {
  return blake3Hex(Buffer.from(text, 'utf8'));
}

async function replaceFile(file: string, content: Uint8Array | string): Promise<void> {
  const own = `${file}.${process.pid}.tmp`;
  await writeFile(own, content);
  await rename(own, file);
}
