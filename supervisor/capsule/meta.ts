import { createHash } from 'node:crypto';
import { z } from 'zod';
import { Fault } from '../../abi/errno.js';
import type { CapsuleManifest } from '../../abi/manifest.js';
import { quotePrintable } from '../../abi/wasm/printable.js';

export const MANIFEST_FILE = 'Capsule.toml';
export const META_FILE = 'meta.json';
export const META_BYTES_MAX = 256 * 1024;
/** `source` of capsules that come with the system; only `syncBuiltins` writes it. */
export const BUILTIN_SOURCE = 'builtin';

const HASH = /^[0-9a-f]{64}$/;
const text = (what: string) => z.string(what).min(1, what).max(1024, what);
const time = z.iso.datetime({ offset: true, error: 'a time such as "2026-01-31T12:00:00Z"' });
const hash = z.string('64 lowercase hex digits').regex(HASH, '64 lowercase hex digits');

/**
 * `meta.json` of an installed capsule (ABI reference 6.7). Unknown fields are dropped: other hosts write more.
 * `manifest_hash` is ours: BLAKE3 of Capsule.toml, so that a manifest edited after the install is noticed.
 */
const META = z.object(
  {
    version: text('the version of the capsule'),
    installed_at: time,
    updated_at: time,
    source: text('where the capsule came from').optional(),
    imports: z.unknown().optional(),
    exports: z.unknown().optional(),
    topics: z.array(z.unknown(), 'a list').optional(),
    wasm_hash: hash.optional(),
    manifest_hash: hash.optional(),
    wit_files: z.unknown().optional(),
  },
  'an object',
);

export type CapsuleMeta = z.output<typeof META>;

/** @throws Fault `bad_manifest`, field `meta.json: <field>` */
export function decodeMeta(bytes: Uint8Array): CapsuleMeta {
  const checked = META.safeParse(parseJson(bytes));
  if (checked.success) return checked.data;
  const issue = checked.error.issues[0];
  const field = issue?.path.map(String).join('.') ?? '';
  const place = field === '' ? 'meta.json' : `meta.json: ${field}`;
  throw new Fault('bad_manifest', `${place}: expected ${issue?.message ?? 'another value'}`, { field: place });
}

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (thrown) {
    throw new Fault('bad_manifest', 'meta.json: expected JSON', { field: 'meta.json', cause: thrown });
  }
}

export function encodeMeta(meta: CapsuleMeta): Buffer {
  return Buffer.from(`${JSON.stringify(meta, null, 2)}\n`);
}

/** The record of an install or an update; `previous` keeps the time of the first one. */
export function makeMeta(options: {
  readonly manifest: CapsuleManifest;
  readonly source: string;
  readonly wasmHash: string | null;
  readonly manifestHash: string;
  readonly previous: CapsuleMeta | null;
  readonly now: Date;
}): CapsuleMeta {
  const { manifest, previous, wasmHash } = options;
  const now = options.now.toISOString();
  return {
    version: manifest.version,
    installed_at: previous?.installed_at ?? now,
    updated_at: now,
    source: options.source,
    imports: groupByNamespace(manifest.imports, (row) => row.range),
    exports: groupByNamespace(manifest.exports, (row) => row.version),
    topics: manifest.topics.map(({ name, direction, description, schema }) => ({
      name,
      direction,
      ...(description === null ? {} : { description }),
      ...(schema === null ? {} : { schema }),
    })),
    ...(wasmHash === null ? {} : { wasm_hash: wasmHash }),
    manifest_hash: options.manifestHash,
  };
}

/**
 * What tells this install from another one of the same name: the same over restarts and over upgrades from the same source, another
 * once it came from elsewhere or was removed in between. What people allowed is kept under it.
 */
export function installOf({ source, installed_at }: CapsuleMeta): string {
  return createHash('sha256')
    .update(JSON.stringify(['install', source ?? null, installed_at]))
    .digest('hex');
}

/** @throws Fault `bad_hash`: a capsule without a hash does not load */
export function requireWasmHash(meta: CapsuleMeta, capsule: string): string {
  if (meta.wasm_hash !== undefined) return meta.wasm_hash;
  throw new Fault('bad_hash', `capsule ${quotePrintable(capsule)}: meta.json has no wasm_hash, so it does not load`, {
    field: 'meta.json: wasm_hash',
  });
}

function groupByNamespace<Row extends { namespace: string; name: string }>(
  rows: readonly Row[],
  describe: (row: Row) => string,
): Record<string, Record<string, string>> {
  // Without prototypes: a namespace may be called "constructor", and writing below that would reach the real one.
  const grouped: Record<string, Record<string, string>> = Object.create(null);
  for (const row of rows) {
    grouped[row.namespace] ??= Object.create(null);
    grouped[row.namespace]![row.name] = describe(row);
  }
  return grouped;
}
