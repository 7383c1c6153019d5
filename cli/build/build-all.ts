import { access, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { asFault, Fault } from '../../abi/errno.js';
import { missingCapsule } from '../capsule/package.js';
import { closeBundler } from './bundle.js';
import { buildIfChanged, type CachedBuild, removeStaleOutputs } from './cache.js';

/** Two cores are what a small machine has, and wizer compiles on all there are. */
const BUILDS_AT_ONCE_MAX = 2;

export interface BuildAllOptions {
  /** Holds one directory per capsule. */
  readonly directory: string;
  readonly outDir: string;
  readonly sdkDir: string;
  readonly force?: boolean;
  /** Receives lines for people, such as `fs: built in 2.1 s, 1180 KiB`. */
  readonly onProgress: (line: string) => void;
}

/**
 * Builds every capsule of a directory that is not built yet, and removes the outputs of those that are gone. All are tried;
 * if any failed, throws a Fault with the code of the first and the messages of all. `not_found` when there is none.
 */
export async function buildAll(options: BuildAllOptions): Promise<CachedBuild[]> {
  const names = await listCapsules(options.directory);
  // Not even one: somebody named the wrong directory, and the outputs there are not taken for those of capsules that are gone.
  if (names.length === 0) throw missingCapsule(options.directory);
  const done: CachedBuild[] = [];
  const failures: { name: string; fault: Fault }[] = [];
  const queue = [...names];
  const work = async (): Promise<void> => {
    for (let name = queue.shift(); name !== undefined; name = queue.shift()) {
      try {
        done.push(await buildOne(name, options));
      } catch (error) {
        const fault = asFault(error);
        failures.push({ name, fault });
        options.onProgress(`${name}: ${fault.message}`);
      }
    }
  };
  try {
    await Promise.all(Array.from({ length: BUILDS_AT_ONCE_MAX }, work));
  } finally {
    await closeBundler();
  }
  const [first] = failures;
  if (first !== undefined) {
    const text = failures.map(({ name, fault }) => `${name}: ${fault.message}`).join('\n');
    throw new Fault(first.fault.code, text, { field: first.name, cause: first.fault });
  }
  for (const name of await removeStaleOutputs(
    options.outDir,
    done.map((build) => build.name),
  )) {
    options.onProgress(`${name}: removed, its source is gone`);
  }
  return done.sort((left, right) => (left.name < right.name ? -1 : 1));
}

async function buildOne(name: string, options: BuildAllOptions): Promise<CachedBuild> {
  const startedMs = performance.now();
  options.onProgress(`${name}: checking`);
  const { sdkDir, force } = options;
  const build = await buildIfChanged(join(options.directory, name), options.outDir, { sdkDir, force: force === true });
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
  const size = `${Math.round(build.bytes / 1024)} KiB`;
  options.onProgress(build.action === 'built' ? `${name}: built in ${seconds} s, ${size}` : `${name}: unchanged`);
  for (const line of build.result?.printed ?? []) options.onProgress(`${name}: says ${line}`);
  return build;
}

async function listCapsules(directory: string): Promise<string[]> {
  const entries = await readdir(directory, { withFileTypes: true }).catch((cause: unknown) => {
    throw new Fault('not_found', `there is no directory of capsules ${directory}`, { field: 'directory', cause });
  });
  const names: string[] = [];
  for (const entry of entries) {
    if (!entry.isDirectory()) continue;
    const hasManifest = await access(join(directory, entry.name, 'Capsule.toml')).then(
      () => true,
      () => false,
    );
    if (hasManifest) names.push(entry.name);
  }
  return names.sort();
}
