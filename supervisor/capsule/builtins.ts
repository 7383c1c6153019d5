import { blake3Hex } from '../../abi/blake3.js';
import { asFault, Fault } from '../../abi/errno.js';
import { LIMITS } from '../../abi/limits.js';
import { HeldDirectory } from './held-directory.js';
import { MANIFEST_BYTES_MAX, parseManifest } from './manifest-loader.js';
import { BUILTIN_SOURCE } from './meta.js';
import { isCapsuleName } from './names.js';
import type { CapsuleProblem, CapsuleStore, InstalledCapsule } from './store.js';

export interface SyncedBuiltin {
  readonly capsule: InstalledCapsule;
  /**
   * `kept`: someone installed another capsule under this name; it stays, and it is not a built-in one.
   * Trust (the tier `process`) must follow this list and its hashes, not what a `meta.json` says of itself.
   */
  readonly action: 'installed' | 'updated' | 'unchanged' | 'kept';
}

/**
 * Brings the capsules that ship with the system into the store. `directory` holds `<name>/Capsule.toml` and
 * `<name>/<name>.wasm`; what is installed already with the same hashes is not written again.
 */
export async function syncBuiltins(options: {
  readonly store: CapsuleStore;
  readonly directory: string;
  readonly principal: string;
}): Promise<{ synced: SyncedBuiltin[]; problems: CapsuleProblem[] }> {
  const { store, principal } = options;
  const root = await HeldDirectory.openRoot(options.directory, 'built-in capsules');
  try {
    const names = (await root.list()).filter(isCapsuleName);
    const outcomes = await Promise.allSettled(names.map((name) => syncOne(store, principal, root, name)));
    const synced: SyncedBuiltin[] = [];
    const problems: CapsuleProblem[] = [];
    for (const [index, outcome] of outcomes.entries()) {
      if (outcome.status === 'fulfilled') synced.push(outcome.value);
      else problems.push({ name: names[index] ?? '', fault: asFault(outcome.reason) });
    }
    return { synced, problems };
  } finally {
    await root.close();
  }
}

async function syncOne(
  store: CapsuleStore,
  principal: string,
  root: HeldDirectory,
  name: string,
): Promise<SyncedBuiltin> {
  const { manifestText, wasm } = await readBuiltin(root, name);
  const declared = parseManifest(manifestText).name;
  if (declared !== name) {
    throw new Fault('bad_manifest', `package.name: is ${declared}, its directory is ${name}`, {
      field: 'package.name',
    });
  }
  const manifestHash = await blake3Hex(Buffer.from(manifestText));
  const current = await readCurrent(store, principal, name);
  if (current !== null && current.meta.source !== BUILTIN_SOURCE) return { capsule: current, action: 'kept' };
  // Comparing bytes is enough to leave it alone, and saves a hash per capsule and boot: whatever is started is hashed then.
  const same = current !== null && current.hash !== null && current.meta.manifest_hash === manifestHash;
  if (same && (await store.holdsBlob(current.hash, wasm))) return { capsule: current, action: 'unchanged' };
  const capsule = await store.writeCapsule({ principal, manifestText, wasm, source: BUILTIN_SOURCE });
  return { capsule, action: current === null ? 'installed' : 'updated' };
}

async function readBuiltin(root: HeldDirectory, name: string): Promise<{ manifestText: string; wasm: Buffer }> {
  const directory = await root.openDirectory(name);
  try {
    const manifest = await directory.readFile('Capsule.toml', MANIFEST_BYTES_MAX);
    const wasm = await directory.readFile(`${name}.wasm`, LIMITS.moduleBytesMax);
    return { manifestText: manifest.toString('utf8'), wasm };
  } finally {
    await directory.close();
  }
}

/** A built-in capsule whose record is missing or damaged is written again; links and disk errors are not repaired. */
async function readCurrent(store: CapsuleStore, principal: string, name: string): Promise<InstalledCapsule | null> {
  try {
    return await store.readInstalled(principal, name);
  } catch (thrown) {
    const fault = asFault(thrown);
    if (['not_found', 'bad_hash', 'bad_manifest'].includes(fault.code)) return null;
    throw fault;
  }
}
