import { asFault, Fault } from '../../abi/errno.js';
import { decodeMeta, META_BYTES_MAX, META_FILE } from './meta.js';
import { isCapsuleName } from './names.js';
import { CAPSULES_PATH, type StorePlace } from './store-place.js';

const BLOB_FILE = /^([0-9a-f]{64})\.wasm$/;

export interface Blob {
  readonly file: string;
  readonly hash: string;
  readonly bytes: number;
}

/**
 * Modules that no record of any principal names. A record that cannot be read may name any of them, so it stops the
 * search. @throws Fault `bad_manifest`, field the record
 */
export async function findUnusedBlobs(
  place: StorePlace,
  alsoUsed: ReadonlySet<string>,
): Promise<{ readonly unused: Blob[]; readonly kept: number }> {
  const used = new Set([...(await listUsedHashes(place)), ...alsoUsed]);
  const unused: Blob[] = [];
  let kept = 0;
  const files = await place.list(['bin']);
  await place.inside(['bin'], true, async (bin) => {
    for (const file of files) {
      const hash = BLOB_FILE.exec(file)?.[1];
      if (hash === undefined) continue;
      if (used.has(hash)) kept += 1;
      else unused.push({ file, hash, bytes: await bin.sizeOf(file) });
    }
  });
  return { unused, kept };
}

export async function removeBlobs(place: StorePlace, blobs: readonly Blob[]): Promise<void> {
  await place.inside(['bin'], true, async (bin) => {
    for (const { file } of blobs) await bin.remove(file);
  });
}

async function listUsedHashes(place: StorePlace): Promise<Set<string>> {
  const used = new Set<string>();
  for (const principal of await place.list(['home'])) {
    const path = ['home', principal, ...CAPSULES_PATH];
    for (const name of (await place.list(path)).filter(isCapsuleName)) {
      const hash = await place
        .inside([...path, name], false, async (at) => decodeMeta(await at.readFile(META_FILE, META_BYTES_MAX)))
        .then(
          ({ wasm_hash }) => wasm_hash,
          (thrown: unknown) => refuse(name, asFault(thrown)),
        );
      if (hash !== undefined) used.add(hash);
    }
  }
  return used;
}

function refuse(name: string, cause: Fault): never {
  throw new Fault('bad_manifest', `the record of ${name} cannot be read, so nothing is removed: ${cause.message}`, {
    field: name,
    cause,
  });
}
