import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { asFault } from '../../abi/errno.js';
import { LIMITS } from '../../abi/limits.js';
import { readBelow, readBounded, refuse } from './held-file.js';
import {
  type CapsulePackage,
  checkModuleSize,
  decodeManifest,
  MANIFEST_FILE,
  missingModule,
  openPackage,
  readNamedFiles,
} from './package.js';

/** A directory with a Capsule.toml and the module it names, or an archive of one. */
export async function readFromPath(path: string): Promise<CapsulePackage> {
  const handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK).catch((thrown: unknown) =>
    refuse(thrown, path),
  );
  try {
    if ((await handle.stat()).isDirectory()) return await readDirectory(path);
    return await openPackage(await readBounded(handle, path, LIMITS.archiveBytesMax));
  } finally {
    await handle.close();
  }
}

async function readDirectory(directory: string): Promise<CapsulePackage> {
  const manifestText = decodeManifest(await readBelow(directory, MANIFEST_FILE, LIMITS.manifestBytesMax));
  const { module } = readNamedFiles(manifestText);
  if (module === null) return { manifestText, wasm: null };
  return { manifestText, wasm: checkModuleSize(await readModule(directory, module)) };
}

export async function readModule(directory: string, module: string): Promise<Buffer> {
  return readBelow(directory, module, LIMITS.moduleBytesMax).catch((thrown: unknown) => {
    throw asFault(thrown).code === 'not_found' ? missingModule(module) : thrown;
  });
}
