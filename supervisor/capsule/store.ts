import { blake3Hex } from '../../abi/blake3.js';
import { asFault, Fault } from '../../abi/errno.js';
import { LIMITS } from '../../abi/limits.js';
import type { CapsuleManifest } from '../../abi/manifest.js';
import type { ModuleReport } from '../../abi/wasm/inspect.js';
import { detectGeneration, type GenerationVerdict } from './generation.js';
import { MANIFEST_BYTES_MAX, parseManifest } from './manifest-loader.js';
import {
  BUILTIN_SOURCE,
  type CapsuleMeta,
  decodeMeta,
  encodeMeta,
  MANIFEST_FILE,
  META_BYTES_MAX,
  META_FILE,
  makeMeta,
  requireWasmHash,
} from './meta.js';
import { isCapsuleName, requireName } from './names.js';
import { CAPSULES_PATH, StorePlace } from './store-place.js';

/** What the store needs of the thread pool. Both take the bytes over and give them back. */
export interface BlobWorker {
  hashBlake3(bytes: Uint8Array): Promise<{ readonly hash: string; readonly bytes: Buffer }>;
  inspectModule(bytes: Uint8Array): Promise<{ readonly report: ModuleReport; readonly bytes: Buffer }>;
}

/** A capsule as its directory describes it; nothing of its code was read. */
export interface InstalledCapsule {
  readonly principal: string;
  readonly name: string;
  readonly manifest: CapsuleManifest;
  readonly meta: CapsuleMeta;
  /** Null for a manifest without a component. */
  readonly hash: string | null;
}

/** A capsule that is ready to start: these very bytes were hashed and inspected. */
export interface LoadedCapsule extends InstalledCapsule {
  readonly hash: string;
  readonly wasm: Buffer;
  readonly report: ModuleReport;
  readonly generation: GenerationVerdict;
}

/** A capsule that was checked from its bytes, installed or only offered. */
export interface ExaminedCapsule {
  readonly manifest: CapsuleManifest;
  readonly manifestText: string;
  readonly manifestHash: string;
  readonly code: {
    readonly hash: string;
    readonly wasm: Buffer;
    readonly report: ModuleReport;
    readonly generation: GenerationVerdict;
  } | null;
}

export interface CapsuleProblem {
  readonly name: string;
  readonly fault: Fault;
}

export interface InstallRequest {
  readonly principal: string;
  readonly manifestText: string;
  /** Null only for a manifest without a component. The store takes the bytes over. */
  readonly wasm: Uint8Array | null;
  /** Where it came from, for people. */
  readonly source: string;
}

/**
 * Installed capsules below the Astrid home: code by content in `bin/<blake3>.wasm`, one directory per capsule in
 * `home/<principal>/.local/capsules/<name>/` (ABI reference 6.7). Every component below the home is opened without
 * following links. Errors are Faults; messages name entries relative to the home.
 */
export class CapsuleStore {
  readonly #place: StorePlace;
  readonly #worker: BlobWorker;
  /** Manifests by their text: a change of what is installed reads all of them several times. */
  readonly #parsed = new Map<string, CapsuleManifest>();
  readonly #now: () => Date;

  /** For changes to what is installed, and for what lies in the store. */
  get place(): StorePlace {
    return this.#place;
  }

  constructor(options: { home: string; worker: BlobWorker; now?: () => Date }) {
    this.#place = new StorePlace(options.home);
    this.#worker = options.worker;
    this.#now = options.now ?? (() => new Date());
  }

  /** Writes the code unless it is there already, intact. @returns its BLAKE3 hash in hex. Takes the bytes over. */
  async installBlob(wasm: Uint8Array): Promise<string> {
    if (wasm.length > LIMITS.moduleBytesMax) throw tooLarge(wasm.length);
    const { hash, bytes } = await this.#worker.hashBlake3(wasm);
    if (!(await this.holdsBlob(hash, bytes))) {
      await this.#place.inside(['bin'], true, (bin) => bin.writeFileAtomic(`${hash}.wasm`, bytes));
    }
    return hash;
  }

  /** Whether the blob of this hash is there with exactly these bytes. Compares; does not hash. */
  async holdsBlob(hash: string, bytes: Uint8Array): Promise<boolean> {
    const file = `${requireName('hash', hash)}.wasm`;
    try {
      return (await this.#place.inside(['bin'], false, (bin) => bin.readFile(file, bytes.length))).equals(bytes);
    } catch (thrown) {
      const fault = asFault(thrown);
      if (fault.code === 'not_found' || fault.code === 'too_large') return false;
      throw fault;
    }
  }

  /**
   * The code with this hash. The hash is computed over the bytes that are returned, so there is no moment between
   * check and use. @throws Fault `bad_hash` when it is missing or is something else; `escapes_root` for a link.
   */
  async readVerified(hash: string): Promise<Buffer> {
    const file = `${requireName('hash', hash)}.wasm`;
    const read = await this.#place
      .inside(['bin'], false, (bin) => bin.readFile(file, LIMITS.moduleBytesMax))
      .catch((thrown: unknown) => {
        const fault = asFault(thrown);
        if (fault.code !== 'not_found' && fault.code !== 'too_large') throw fault;
        throw new Fault('bad_hash', `bin/${file}: ${fault.code === 'not_found' ? 'is missing' : 'is too large'}`, {
          field: 'wasm_hash',
          cause: fault,
        });
      });
    const { hash: actual, bytes } = await this.#worker.hashBlake3(read);
    if (actual !== hash) {
      throw new Fault('bad_hash', `bin/${file}: its content has the hash ${actual}; it was changed or damaged`, {
        field: 'wasm_hash',
      });
    }
    return bytes;
  }

  /**
   * Checks everything, then writes code, manifest and `meta.json`, in this order. A crash in between leaves a manifest
   * whose hash does not match, which does not load; installing again repairs it.
   * @throws Fault `bad_manifest`, `bad_module`, `not_served`, `out_of_memory`, `too_large`, `no_space`, `escapes_root`
   */
  async installCapsule(request: InstallRequest): Promise<InstalledCapsule> {
    if (request.source === BUILTIN_SOURCE) {
      throw new Fault('invalid_argument', `source: "${BUILTIN_SOURCE}" is kept for capsules of the system`, {
        field: 'source',
      });
    }
    return this.writeCapsule(request);
  }

  /** As `installCapsule`, for any source: `syncBuiltins` alone may say `builtin`. */
  async writeCapsule(request: InstallRequest): Promise<InstalledCapsule> {
    const { principal, manifestText, source } = request;
    requireName('principal', principal);
    const manifest = parseManifest(manifestText);
    const { bytes } = await this.#checkCode(manifest, request.wasm);
    const manifestHash = await hashText(manifestText);
    const hash = bytes === null ? null : await this.installBlob(bytes);
    const previous = await this.readMeta(principal, manifest.name).catch((thrown: unknown) => {
      if (['not_found', 'bad_manifest'].includes(asFault(thrown).code)) return null;
      throw thrown;
    });
    const meta = makeMeta({ manifest, source, wasmHash: hash, manifestHash, previous, now: this.#now() });
    await this.#place.insideCapsule(principal, manifest.name, true, async (directory) => {
      await directory.writeFileAtomic(MANIFEST_FILE, Buffer.from(manifestText));
      await directory.writeFileAtomic(META_FILE, encodeMeta(meta));
    });
    return { principal, name: manifest.name, manifest, meta, hash };
  }

  /** Capsules of a principal, by name. One that cannot be read is a problem of its own and hides no other. */
  async listInstalled(principal: string): Promise<{ capsules: InstalledCapsule[]; problems: CapsuleProblem[] }> {
    requireName('principal', principal);
    const names = await this.#place
      .inside(['home', principal, ...CAPSULES_PATH], false, (capsules) => capsules.list())
      .catch((thrown: unknown) => {
        if (asFault(thrown).code === 'not_found') return [];
        throw thrown;
      });
    const capsules: InstalledCapsule[] = [];
    const problems: CapsuleProblem[] = [];
    for (const name of names.filter((entry) => !entry.startsWith('.'))) {
      try {
        capsules.push(await this.readInstalled(principal, name));
      } catch (thrown) {
        problems.push({ name: isCapsuleName(name) ? name : '?', fault: asFault(thrown) });
      }
    }
    return { capsules, problems };
  }

  /** Manifest and record, checked against each other. @throws Fault `not_found`, `bad_manifest`, `bad_hash` */
  async readInstalled(principal: string, name: string): Promise<InstalledCapsule> {
    const [text, meta] = await this.#place.insideCapsule(principal, name, false, async (directory) => [
      (await directory.readFile(MANIFEST_FILE, MANIFEST_BYTES_MAX)).toString('utf8'),
      decodeMeta(await directory.readFile(META_FILE, META_BYTES_MAX)),
    ]);
    const manifest = this.#parse(text);
    if (manifest.name !== name) {
      throw new Fault('bad_manifest', `package.name: is ${manifest.name}, the capsule is installed as ${name}`, {
        field: 'package.name',
      });
    }
    if (meta.manifest_hash !== undefined && meta.manifest_hash !== (await hashText(text))) {
      throw new Fault('bad_hash', `capsule ${name}: Capsule.toml was changed after it was installed`, {
        field: 'meta.json: manifest_hash',
      });
    }
    const hash = manifest.component === null ? null : requireWasmHash(meta, name);
    return { principal, name, manifest, meta, hash };
  }

  /** Everything a start needs, verified now. @throws Fault as `readInstalled`, `readVerified` and `installCapsule` */
  async loadInstalled(principal: string, name: string): Promise<LoadedCapsule> {
    const installed = await this.readInstalled(principal, name);
    if (installed.hash === null) {
      throw new Fault('bad_manifest', `capsule ${name}: has no [[component]], so there is nothing to load`, {
        field: 'component',
      });
    }
    const verified = await this.readVerified(installed.hash);
    const { report, bytes } = await this.#worker.inspectModule(verified);
    requireMemory(installed.manifest, report);
    const generation = detectGeneration(report, installed.manifest.abi);
    return { ...installed, hash: installed.hash, wasm: bytes, report, generation };
  }

  #parse(text: string): CapsuleManifest {
    const known = this.#parsed.get(text);
    if (known !== undefined) return known;
    const manifest = parseManifest(text);
    if (this.#parsed.size >= PARSED_MAX) this.#parsed.clear();
    this.#parsed.set(text, manifest);
    return manifest;
  }

  async readMeta(principal: string, name: string): Promise<CapsuleMeta> {
    return this.#place.insideCapsule(principal, name, false, async (directory) =>
      decodeMeta(await directory.readFile(META_FILE, META_BYTES_MAX)),
    );
  }

  /** Checks an offered capsule as an install does, and writes nothing. Gives the module's bytes back. */
  async examine(request: {
    readonly manifestText: string;
    readonly wasm: Uint8Array | null;
  }): Promise<ExaminedCapsule> {
    const { manifestText } = request;
    const manifest = parseManifest(manifestText);
    if (request.wasm !== null && request.wasm.length > LIMITS.moduleBytesMax) throw tooLarge(request.wasm.length);
    const { report, bytes } = await this.#checkCode(manifest, request.wasm);
    const manifestHash = await hashText(manifestText);
    if (report === null || bytes === null) return { manifest, manifestText, manifestHash, code: null };
    const { hash, bytes: wasm } = await this.#worker.hashBlake3(bytes);
    const generation = detectGeneration(report, manifest.abi);
    return { manifest, manifestText, manifestHash, code: { hash, wasm, report, generation } };
  }

  /** An installed capsule, read and verified as for a start. */
  async examineInstalled(principal: string, name: string): Promise<ExaminedCapsule & { readonly meta: CapsuleMeta }> {
    const installed = await this.readInstalled(principal, name);
    const text = await this.#place.insideCapsule(principal, name, false, (at) =>
      at.readFile(MANIFEST_FILE, MANIFEST_BYTES_MAX),
    );
    const wasm = installed.hash === null ? null : await this.readVerified(installed.hash);
    return { ...(await this.examine({ manifestText: text.toString('utf8'), wasm })), meta: installed.meta };
  }

  async #checkCode(
    manifest: CapsuleManifest,
    wasm: Uint8Array | null,
  ): Promise<{ readonly report: ModuleReport | null; readonly bytes: Buffer | null }> {
    if (manifest.component === null) {
      if (wasm === null) return { report: null, bytes: null };
      throw new Fault('bad_manifest', 'component: is missing, but a module was given', { field: 'component' });
    }
    if (wasm === null) {
      throw new Fault('bad_module', 'the manifest has a component, but no module was given', { field: 'component' });
    }
    const checked = await this.#worker.inspectModule(wasm);
    requireMemory(manifest, checked.report);
    detectGeneration(checked.report, manifest.abi);
    return checked;
  }
}

/** More capsules than anybody has; beyond it they are parsed anew. */
const PARSED_MAX = 256;

/** A manifest is small: the way to another thread would take longer. */
const hashText = (text: string) => blake3Hex(Buffer.from(text));

function tooLarge(bytes: number): Fault {
  return new Fault('too_large', `module: ${bytes} bytes, at most ${LIMITS.moduleBytesMax} are accepted`, {
    field: 'module',
  });
}

/** What the clamp would refuse at every start is refused here once, where a person reads it. */
function requireMemory(manifest: CapsuleManifest, report: ModuleReport): void {
  const needed = report.memory?.minPages ?? 0;
  if (needed <= manifest.limits.memoryPages) return;
  throw new Fault(
    'out_of_memory',
    `the module starts with ${needed} memory pages, its limit is ${manifest.limits.memoryPages}`,
    { field: 'limits.memory_pages' },
  );
}
