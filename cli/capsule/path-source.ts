import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { asFault } from '../../abi/errno.js';
import { LIMITS } from '../../abi/limits.js';
import { readBelow, readBounded, refuse } from './held-file.js';
import {
  type CapsulePackage,
  checkModuleSize,
  decodeManifest,
  missingModule,
  openPackage,
  readManifestFile,
  readNamedFiles,
} from './package.js';
import { buildModuleOf } from './source-build.js';

type Env = Readonly<Record<string, string | undefined>>;

/** A directory with a Capsule.toml and the module it names or the source of it, or an archive with both. */
export async function readFromPath(path: string, env: Env): Promise<CapsulePackage> {
  const handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK).catch((thrown: unknown) =>
    refuse(thrown, path),
  );
  try {
    if ((await handle.stat()).isDirectory()) return await readDirectory(path, env);
    return await openPackage(await readBounded(handle, path, LIMITS.archiveBytesMax));
  } finally {
    await handle.close();
  }
}

async function readDirectory(directory: string, env: Env): Promise<CapsulePackage> {
  const manifestText = decodeManifest(await readManifestFile(directory));
  const { module } = readNamedFiles(manifestText);
  if (module === null) return { manifestText, wasm: null };
  return { manifestText, wasm: checkModuleSize(await readModule(directory, module, env)) };
}

/** The module that lies there, which counts as it is; else what the source there is built to. */
export async function readModule(directory: string, module: string, env: Env): Promise<Buffer> {
  try {
    return await readBelow(directory, module, LIMITS.moduleBytesMax);
  } catch (thrown) {
    if (asFault(thrown).code !== 'not_found') throw thrown;
  }
  const built = await buildModuleOf(directory, env);
  if (built === null) throw missingModule(module);
  return built;
}
