import { access, realpath } from 'node:fs/promises';
import { join } from 'node:path';
import { parse, TomlError } from 'smol-toml';
import { Fault } from '../../abi/errno.js';
import { LIMITS } from '../../abi/limits.js';
import { decodeManifest, MANIFEST_FILE, readManifestFile } from '../capsule/package.js';
import { scriptMemoryBytes } from './script-limits.js';

/** What a capsule is made from, by the file that says so; the first that is there counts. */
const ENTRIES = [
  { kind: 'typescript', file: () => 'main.ts' },
  { kind: 'assemblyscript', file: () => 'assembly/index.ts' },
  { kind: 'module', file: (name: string) => `${name}.wasm` },
] as const;
export type SourceKind = (typeof ENTRIES)[number]['kind'];
const NAME = /^[a-z0-9][a-z0-9-]{0,63}$/;

/** A directory that can be built: what its manifest says about building. The whole manifest is checked when it is installed. */
export interface CapsuleSource {
  readonly dir: string;
  readonly name: string;
  readonly kind: SourceKind;
  /** The main file, or the ready module. */
  readonly entry: string;
  readonly manifestText: string;
  readonly memoryLimitBytes: number;
}

/** Reads a capsule directory. Throws Fault `not_found` (no manifest, nothing to build), `escapes_root` (the manifest is a link) or `bad_manifest` with the field. */
export async function readCapsuleSource(directory: string): Promise<CapsuleSource> {
  const dir = await realpath(directory).catch((cause: unknown) => {
    throw new Fault('not_found', `there is no capsule directory ${directory}`, { field: 'dir', cause });
  });
  const manifestText = decodeManifest(await readManifestFile(dir));
  const manifest = parseManifestText(manifestText);
  const name = requireName(manifest);
  const { kind, entry } = await findEntry(dir, name);
  return { dir, name, kind, entry, manifestText, memoryLimitBytes: requireMemory(manifest) };
}

async function findEntry(dir: string, name: string): Promise<{ kind: SourceKind; entry: string }> {
  for (const { kind, file } of ENTRIES) {
    const entry = join(dir, file(name));
    const isThere = await access(entry).then(
      () => true,
      () => false,
    );
    if (isThere) return { kind, entry };
  }
  const files = ENTRIES.map(({ file }) => file(name));
  throw new Fault('not_found', `${name}: beside ${MANIFEST_FILE} there is none of ${files.join(', ')}`, {
    field: 'main.ts',
  });
}

type Table = Readonly<Record<string, unknown>>;

function parseManifestText(text: string): Table {
  try {
    return parse(text);
  } catch (cause) {
    const place = cause instanceof TomlError ? ` line ${cause.line}, column ${cause.column}` : '';
    throw new Fault('bad_manifest', `${MANIFEST_FILE}${place}: this is not TOML`, { field: MANIFEST_FILE, cause });
  }
}

/** The module is called like the capsule, so that whoever loads `<name>/` knows which file it is. */
function requireName(manifest: Table): string {
  const name = asTable(manifest['package'])['name'];
  if (typeof name !== 'string' || !NAME.test(name)) {
    throw new Fault('bad_manifest', 'package.name: expected letters a to z, digits and dashes', {
      field: 'package.name',
    });
  }
  const components = manifest['component'];
  const file = Array.isArray(components) ? asTable(components[0])['file'] : undefined;
  if (file !== `${name}.wasm`) {
    throw new Fault(
      'bad_manifest',
      `component.file: expected "${name}.wasm", got ${JSON.stringify(file) ?? 'nothing'}`,
      {
        field: 'component.file',
      },
    );
  }
  return name;
}

function requireMemory(manifest: Table): number {
  const pages = asTable(manifest['limits'])['memory_pages'] ?? LIMITS.memoryPagesDefault;
  if (typeof pages !== 'number' || !Number.isInteger(pages) || pages < 1 || pages > LIMITS.memoryPagesDefault) {
    throw new Fault('bad_manifest', `limits.memory_pages: expected 1 to ${LIMITS.memoryPagesDefault}`, {
      field: 'limits.memory_pages',
    });
  }
  return scriptMemoryBytes(pages);
}

function asTable(value: unknown): Table {
  return typeof value === 'object' && value !== null ? (value as Table) : {};
}
