import { access, readFile, realpath } from 'node:fs/promises';
import { join } from 'node:path';
import { parse, TomlError } from 'smol-toml';
import { Fault } from '../../abi/errno.js';
import { LIMITS } from '../../abi/limits.js';
import { scriptMemoryBytes } from './script-limits.js';

const MANIFEST = 'Capsule.toml';
const ENTRY = 'main.ts';
const NAME = /^[a-z0-9][a-z0-9-]{0,63}$/;

/** A directory that can be built: what its manifest says about building. The whole manifest is checked when it is installed. */
export interface CapsuleSource {
  readonly dir: string;
  readonly name: string;
  readonly entry: string;
  readonly manifestText: string;
  readonly memoryLimitBytes: number;
}

/** Reads a capsule directory. Throws Fault `not_found` (no manifest, no main.ts) or `bad_manifest` with the field. */
export async function readCapsuleSource(directory: string): Promise<CapsuleSource> {
  const dir = await realpath(directory).catch((cause: unknown) => {
    throw new Fault('not_found', `there is no capsule directory ${directory}`, { field: 'dir', cause });
  });
  const manifestText = await readFile(join(dir, MANIFEST), 'utf8').catch((cause: unknown) => {
    throw new Fault('not_found', `${directory} has no ${MANIFEST}`, { field: MANIFEST, cause });
  });
  const manifest = parseManifestText(manifestText);
  const name = requireName(manifest);
  const entry = join(dir, ENTRY);
  await access(entry).catch((cause: unknown) => {
    throw new Fault('not_found', `${name}: there is no ${ENTRY} beside ${MANIFEST}`, { field: ENTRY, cause });
  });
  return { dir, name, entry, manifestText, memoryLimitBytes: requireMemory(manifest) };
}

type Table = Readonly<Record<string, unknown>>;

function parseManifestText(text: string): Table {
  try {
    return parse(text);
  } catch (cause) {
    const place = cause instanceof TomlError ? ` line ${cause.line}, column ${cause.column}` : '';
    throw new Fault('bad_manifest', `${MANIFEST}${place}: this is not TOML`, { field: MANIFEST, cause });
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
