import { access } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { asFault, EXIT } from '../../abi/errno.js';
import { buildAll } from '../build/build-all.js';
import { closeBundler } from '../build/bundle.js';
import { buildIfChanged, type CachedBuild } from '../build/cache.js';
import type { CommandRun } from '../context.js';
import type { Io } from '../io.js';
import { findPackageRoot } from '../package-root.js';
import { printFault } from '../view/fault-view.js';
import { formatBytes } from '../view/human.js';
import { type Column, printTable } from '../view/table.js';
import { paint } from '../view/terminal.js';

/** One built capsule. */
export interface BuildRow {
  readonly name: string;
  readonly action: CachedBuild['action'];
  readonly bytes: number;
  readonly hashBlake3: string;
  readonly file: string;
}

const COLUMNS: readonly Column<BuildRow>[] = [
  { title: 'CAPSULE', cell: (row) => row.name },
  { title: 'ACTION', cell: (row) => row.action },
  { title: 'SIZE', align: 'right', cell: (row) => formatBytes(row.bytes) },
  { title: 'BLAKE3', cell: (row) => row.hashBlake3, shrinkTo: 16 },
  { title: 'FILE', cell: (row) => row.file },
];

async function isCapsule(directory: string): Promise<boolean> {
  return access(join(directory, 'Capsule.toml')).then(
    () => true,
    () => false,
  );
}

/** Beside the capsules and never inside one: what lies in a capsule's directory is part of its source. */
function defaultOut(directory: string, single: boolean): string {
  return join(single ? dirname(directory) : directory, 'dist');
}

async function build(io: Io, directory: string, out: string | undefined): Promise<readonly CachedBuild[]> {
  const single = await isCapsule(directory);
  const outDir = out === undefined ? defaultOut(directory, single) : resolve(io.cwd, out);
  const sdkDir = join(findPackageRoot(fileURLToPath(import.meta.url)), 'abi/sdk');
  const onProgress = (line: string) => io.err.line(paint('dim', line));
  if (!single) return buildAll({ directory, outDir, sdkDir, onProgress });
  try {
    return [await buildIfChanged(directory, outDir, { sdkDir })];
  } finally {
    await closeBundler();
  }
}

/** `astrid build DIR`: DIR is a capsule, or holds capsules. Unchanged ones are not built again. */
export const runBuild: CommandRun = async (context, args) => {
  const { io } = context;
  const dir = resolve(io.cwd, args.text('dir') ?? '.');
  const builds = await build(io, dir, args.text('out')).catch((thrown: unknown) => {
    const fault = asFault(thrown);
    // The command line was right: what is wrong stands in the source.
    if (fault.code !== 'invalid_argument') throw thrown;
    printFault(io.err, fault);
    return null;
  });
  if (builds === null) return EXIT.failed;
  const rows = builds.map(
    ({ name, action, bytes, hashBlake3, wasmFile }): BuildRow => ({ name, action, bytes, hashBlake3, file: wasmFile }),
  );
  if (context.json) io.out.json(rows);
  else printTable(io.out, COLUMNS, rows, 'nothing was built');
  return EXIT.ok;
};
