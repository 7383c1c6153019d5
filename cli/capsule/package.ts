import { isUtf8 } from 'node:buffer';
import { parse, TomlError } from 'smol-toml';
import { asFault, Fault } from '../../abi/errno.js';
import { LIMITS } from '../../abi/limits.js';
import { archiveFault } from './archive-fault.js';
import { gunzipOne } from './gzip-reader.js';
import { readBelow } from './held-file.js';
import { readTar } from './tar-reader.js';

export const MANIFEST_FILE = 'Capsule.toml';

/** What an install takes from a source: the manifest as it was written, and the module that it names. */
export interface CapsulePackage {
  readonly manifestText: string;
  /** Null when the manifest has no component. */
  readonly wasm: Buffer | null;
}

/** Files that Capsule.toml names. Only for finding them: the supervisor reads the manifest again, and checks it. */
export interface NamedFiles {
  /** Null when the manifest has no component. */
  readonly module: string | null;
  /** Read by people: license and readme. */
  readonly papers: readonly string[];
}

type Table = Readonly<Record<string, unknown>>;

/** @throws Fault `bad_manifest` for what is not TOML, or names a file outside of the package. */
export function readNamedFiles(manifestText: string): NamedFiles {
  let document: Table;
  try {
    document = parse(manifestText);
  } catch (cause) {
    const place = cause instanceof TomlError ? ` line ${cause.line}, column ${cause.column}` : '';
    throw new Fault('bad_manifest', `${MANIFEST_FILE}${place}: this is not TOML`, { field: MANIFEST_FILE, cause });
  }
  const components = document['component'];
  const first = Array.isArray(components) ? asTable(components[0]) : null;
  const head = asTable(document['package']);
  const papers = [head['license-file'], head['readme']].filter((one) => typeof one === 'string');
  return {
    module: first === null ? null : requireRelative(first['file'] ?? first['entrypoint'], 'component.file'),
    papers: papers.map((paper) => requireRelative(paper, 'package.readme')),
  };
}

export function decodeManifest(bytes: Uint8Array): string {
  if (bytes.length > LIMITS.manifestBytesMax) {
    throw new Fault('too_large', `${MANIFEST_FILE}: ${bytes.length} bytes, at most ${LIMITS.manifestBytesMax}`, {
      field: MANIFEST_FILE,
    });
  }
  if (!isUtf8(bytes)) throw new Fault('bad_manifest', `${MANIFEST_FILE}: expected UTF-8`, { field: MANIFEST_FILE });
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('utf8');
}

/**
 * A package out of the bytes of a `.capsule` file or an npm tarball. Nothing is written: the entries stay in memory, and
 * only what the manifest names is kept. The package may lie in one directory of any name, as npm and git hosts pack it.
 * @throws Fault `bad_archive`, `bad_manifest`, `not_found` (the module), `too_large`
 */
export async function openPackage(packed: Buffer): Promise<CapsulePackage> {
  if (packed.length > LIMITS.archiveBytesMax) {
    throw new Fault('too_large', `the archive has ${packed.length} bytes, at most ${LIMITS.archiveBytesMax}`, {
      field: 'source',
    });
  }
  const files = readTar(await gunzipOne(packed));
  const root = findRoot(files);
  const manifestText = decodeManifest(files.get(`${root}${MANIFEST_FILE}`) ?? Buffer.alloc(0));
  const { module } = readNamedFiles(manifestText);
  if (module === null) return { manifestText, wasm: null };
  const wasm = files.get(`${root}${module}`);
  if (wasm === undefined) throw missingModule(module);
  // A copy: the rest of the archive goes.
  return { manifestText, wasm: Buffer.from(checkModuleSize(wasm)) };
}

export function checkModuleSize(wasm: Buffer): Buffer {
  if (wasm.length <= LIMITS.moduleBytesMax) return wasm;
  throw new Fault('too_large', `module: ${wasm.length} bytes, at most ${LIMITS.moduleBytesMax} are accepted`, {
    field: 'module',
  });
}

/** What every command says that is given a directory without a capsule. */
export function missingCapsule(directory: string, cause?: unknown): Fault {
  return new Fault('not_found', `there is no capsule in ${directory}: it has no ${MANIFEST_FILE}`, {
    field: 'dir',
    cause,
  });
}

/** Capsule.toml of a directory. @throws Fault `not_found`, `escapes_root` (it is a link), `too_large` */
export async function readManifestFile(directory: string): Promise<Buffer> {
  try {
    return await readBelow(directory, MANIFEST_FILE, LIMITS.manifestBytesMax);
  } catch (thrown) {
    if (asFault(thrown).code !== 'not_found') throw thrown;
    throw missingCapsule(directory, thrown);
  }
}

export function missingModule(file: string): Fault {
  const message = `${MANIFEST_FILE} names ${JSON.stringify(file)}, which is not there; is it built? See: astrid build`;
  return new Fault('not_found', message, { field: 'component.file' });
}

/** Where Capsule.toml lies: at the top, or in the only directory there is. */
function findRoot(files: ReadonlyMap<string, Buffer>): string {
  if (files.has(MANIFEST_FILE)) return '';
  const tops = new Set([...files.keys()].map((path) => path.split('/', 1)[0] ?? ''));
  const [top] = tops;
  if (tops.size === 1 && top !== undefined && files.has(`${top}/${MANIFEST_FILE}`)) return `${top}/`;
  throw archiveFault('no_manifest');
}

function requireRelative(value: unknown, field: string): string {
  const path = typeof value === 'string' ? value.replace(/^(\.\/)+/, '') : '';
  const segments = path.split('/');
  const odd = segments.some((segment) => segment === '' || segment === '.' || segment === '..');
  if (odd || /[\x00-\x1f\x7f\\]/.test(path) || path.length > 1024) {
    throw new Fault('bad_manifest', `${field}: expected a path relative to the capsule`, { field });
  }
  return path;
}

function asTable(value: unknown): Table {
  return typeof value === 'object' && value !== null ? (value as Table) : {};
}
