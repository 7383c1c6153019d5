import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { basename, dirname, join } from 'node:path';
import { blake3Hex } from '../../abi/blake3.js';
import { makeAdaptorText } from './adaptor.js';
import { QUICKJS_IMPORTS } from './adaptor-imports.js';
import { runTool, withTemporaryDirectory } from './tool-process.js';
import { readToolVersions } from './tool-versions.js';
import {
  encodeExports,
  encodeName,
  encodeVector,
  findSection,
  readExports,
  readImports,
  readSections,
  replaceSections,
  SECTION,
  writeSections,
} from './wasm-binary.js';

const require = createRequire(import.meta.url);

/** Features that Node 20 has; with all of binaryen's, it writes an import section that Node 20 refuses. */
const FEATURES = [
  '--enable-bulk-memory',
  '--enable-multivalue',
  '--enable-sign-ext',
  '--enable-nontrapping-float-to-int',
  '--enable-mutable-globals',
  '--enable-reference-types',
  '--enable-multimemory',
];

const DIGEST_BYTES = 32;
const KEY_CHARS = 32;
const TEMPLATE_NAME = /^template-[0-9a-f]{32}\.wasm$/;
const templates = new Map<string, Promise<Uint8Array>>();

const WABT_FEATURES = { bulk_memory: true, mutable_globals: true, sign_extension: true, reference_types: true };

/**
 * QuickJS merged with the adaptor: what all capsules have in common. Made once per process, and once per version of
 * anything in it when there is a directory to keep it in.
 */
export function loadTemplate(cacheDir: string | null): Promise<Uint8Array> {
  const key = cacheDir ?? '';
  const known = templates.get(key);
  if (known !== undefined) return known;
  const made = cacheDir === null ? makeTemplate() : loadKeptTemplate(cacheDir);
  templates.set(key, made);
  // A failure may be passing, so it is not remembered.
  made.catch(() => templates.delete(key));
  return made;
}

async function loadKeptTemplate(cacheDir: string): Promise<Uint8Array> {
  const file = join(cacheDir, `template-${(await makeTemplateKey()).slice(0, KEY_CHARS)}.wasm`);
  const kept = await readFile(file).catch(() => null);
  if (kept !== null && (await isIntact(kept))) return kept.subarray(DIGEST_BYTES);
  const template = await makeTemplate();
  // A directory that cannot be written to, as where a package is installed for all, costs time and nothing else.
  await keepTemplate(cacheDir, file, template).catch(() => undefined);
  return template;
}

async function keepTemplate(cacheDir: string, file: string, template: Uint8Array): Promise<void> {
  await mkdir(cacheDir, { recursive: true });
  // Two builds may do this at once; each renames a whole file into place.
  const own = `${file}.${process.pid}.tmp`;
  await writeFile(own, Buffer.concat([Buffer.from(await blake3Hex(template), 'hex'), template]));
  await rename(own, file);
  // Those of other versions would stay for ever; a build of one that still runs has read its own, or makes it again.
  for (const name of await readdir(cacheDir)) {
    if (TEMPLATE_NAME.test(name) && name !== basename(file)) await rm(join(cacheDir, name), { force: true });
  }
}

/** A kept template begins with its digest: a file cut short by a crash or a full disk is made again. */
async function isIntact(kept: Buffer): Promise<boolean> {
  if (kept.length <= DIGEST_BYTES) return false;
  return (await blake3Hex(kept.subarray(DIGEST_BYTES))) === kept.toString('hex', 0, DIGEST_BYTES);
}

async function makeTemplateKey(): Promise<string> {
  const quickjs = await readFile(require.resolve('quickjs-wasi/quickjs.wasm'));
  const parts = [quickjs, Buffer.from(makeAdaptorText()), Buffer.from(JSON.stringify(readToolVersions()))];
  return blake3Hex(Buffer.concat(parts));
}

async function makeTemplate(): Promise<Uint8Array> {
  const quickjs = await readFile(require.resolve('quickjs-wasi/quickjs.wasm'));
  const adaptor = await assemble(makeAdaptorText());
  return withTemporaryDirectory(async (directory) => {
    await writeFile(join(directory, 'quickjs.wasm'), prepareQuickjs(quickjs));
    await writeFile(join(directory, 'adaptor.wasm'), adaptor);
    const merge = join(dirname(require.resolve('binaryen')), 'bin', 'wasm-merge');
    const args = [merge, 'adaptor.wasm', 'env', 'quickjs.wasm', 'qjs', ...FEATURES, '-o', 'merged.wasm'];
    await runTool('wasm-merge', process.execPath, args, directory);
    return await readFile(join(directory, 'merged.wasm'));
  });
}

/** WebAssembly text to binary. */
async function assemble(text: string): Promise<Uint8Array> {
  const { default: loadWabt } = await import('wabt');
  const wabt = await loadWabt();
  const module = wabt.parseWat('adaptor.wat', text, WABT_FEATURES);
  try {
    return module.toBinary({}).buffer;
  } finally {
    module.destroy();
  }
}

/**
 * QuickJS imports from `env` and from WASI; both are the adaptor. A module that is named twice to wasm-merge is merged
 * twice, so the imports are brought under one name first. Of its 500 exports those that the adaptor uses stay; what only
 * the others need is left out of the merged module.
 */
function prepareQuickjs(quickjs: Uint8Array): Uint8Array {
  const sections = readSections(quickjs);
  const imports = readImports(findSection(sections, SECTION.import)).map((entry) => {
    const rest = entry.bytes.subarray(encodeName(entry.module).length);
    return Buffer.concat([Uint8Array.from(encodeName('env')), rest]);
  });
  const used = new Set([...QUICKJS_IMPORTS.matchAll(/"qjs" "(\w+)"/g)].map((match) => match[1]));
  const exports = readExports(findSection(sections, SECTION.export)).filter((entry) => {
    return used.has(entry.name) || entry.name === '_initialize';
  });
  return writeSections(
    replaceSections(sections, {
      [SECTION.import]: encodeVector(imports),
      [SECTION.export]: encodeExports(exports),
    }),
  );
}
