import { writeFile } from 'node:fs/promises';
import { basename, resolve } from 'node:path';
import { parse } from 'smol-toml';
import { asFault, EXIT, Fault } from '../../abi/errno.js';
import type { CommandRun } from '../context.js';
import { formatBytes } from '../view/human.js';
import { paint } from '../view/terminal.js';
import { packArchive } from './archive-writer.js';
import { readBelow } from './held-file.js';
import { decodeManifest, MANIFEST_FILE, openPackage, readManifestFile, readNamedFiles } from './package.js';
import { readModule } from './path-source.js';

const PAPER_BYTES_MAX = 1024 * 1024;

/** The bytes of a `.capsule`: manifest, module, and the license and readme that the manifest names. */
async function packDirectory(
  directory: string,
  env: Readonly<Record<string, string | undefined>>,
): Promise<{ readonly manifestText: string; readonly packed: Buffer }> {
  const manifest = await readManifestFile(directory);
  const manifestText = decodeManifest(manifest);
  const { module, papers } = readNamedFiles(manifestText);
  const files = new Map([[MANIFEST_FILE, manifest]]);
  if (module !== null) files.set(module, await readModule(directory, module, env));
  for (const paper of papers) files.set(paper, await readBelow(directory, paper, PAPER_BYTES_MAX));
  const packed = await packArchive(files);
  // What this makes, everybody's `install` must accept: also names and sizes that only the reader checks.
  await openPackage(packed);
  return { manifestText, packed };
}

/** `<name>-<version>.capsule`, from a manifest that has both. */
function nameOf(manifestText: string): string {
  const head = parse(manifestText)['package'];
  const { name, version } = (typeof head === 'object' ? head : {}) as { name?: unknown; version?: unknown };
  if (
    typeof name === 'string' &&
    typeof version === 'string' &&
    /^[A-Za-z0-9][A-Za-z0-9.+-]*$/.test(`${name}-${version}`)
  ) {
    return `${name}-${version}.capsule`;
  }
  throw new Fault('bad_manifest', 'package: expected a name and a version', { field: 'package' });
}

/** `astrid capsule pack DIR [-o FILE]`: the same input gives the same bytes. */
export const runCapsulePack: CommandRun = async (context, args) => {
  const { io } = context;
  const { manifestText, packed } = await packDirectory(resolve(io.cwd, args.text('dir') ?? '.'), io.env);
  const file = resolve(io.cwd, args.text('out') ?? nameOf(manifestText));
  await writeFile(file, packed).catch((thrown: unknown) => {
    throw new Fault('io_error', `${basename(file)} cannot be written: ${asFault(thrown).message}`, { field: 'out' });
  });
  if (context.json) io.out.json({ file, bytes: packed.length });
  else io.out.line(paint('green', 'packed'), ` ${file}, ${formatBytes(packed.length)}`);
  return EXIT.ok;
};
