import { readFile } from 'node:fs/promises';
import { asFault } from '../../abi/errno.js';

type Env = Readonly<Record<string, string | undefined>>;

/**
 * The module of a directory that holds a capsule's source and not what it is built to: built, or taken from the build of
 * before when nothing changed. The result stays out of the directory. Null when there is no source here.
 * @throws Fault as `buildIfChanged`
 */
export async function buildModuleOf(directory: string, env: Env): Promise<Buffer | null> {
  // Loaded when needed: most installs build nothing, and the compilers are large.
  const { readCapsuleSource } = await import('../build/capsule-source.js');
  const { placesFor } = await import('../author/project.js');
  const { buildIfChanged } = await import('../build/cache.js');
  const { closeBundler } = await import('../build/bundle.js');
  const source = await readCapsuleSource(directory).catch((thrown: unknown) => {
    if (asFault(thrown).code === 'not_found') return null;
    throw thrown;
  });
  if (source === null || source.kind === 'module') return null;
  const { outDir, sdkDir, toolchainDir } = placesFor(source.dir, env);
  try {
    const { wasmFile } = await buildIfChanged(source.dir, outDir, { sdkDir, cacheDir: toolchainDir });
    return await readFile(wasmFile);
  } finally {
    await closeBundler();
  }
}
