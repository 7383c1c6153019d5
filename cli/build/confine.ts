import { readFile, realpath } from 'node:fs/promises';
import { basename, dirname, extname, join, sep } from 'node:path';
import type { OnLoadResult, Plugin } from 'esbuild';

/** What a capsule's source may consist of. Everything else that lies on a disk is data, and data has no place in a module. */
const SOURCE_FILES: ReadonlySet<string> = new Set([
  '.ts',
  '.mts',
  '.cts',
  '.tsx',
  '.js',
  '.mjs',
  '.cjs',
  '.jsx',
  '.json',
]);
const MAP_COMMENT = /(\/[/*])([#@])(?= sourceMappingURL=(?!data:))/g;
/** The same characters to a program that has the comment in a string. */
const ESCAPED: Readonly<Record<string, string>> = { '#': '\\x23', '@': '\\x40' };

const refuse = (text: string): OnLoadResult => ({ errors: [{ text }] });

/**
 * Who builds a capsule may not be who wrote it. Whatever way a file was found in (an absolute path, a link, a package.json, a
 * pattern of file names), its real path decides whether it is read: source that could name any file of this machine would
 * carry that file away in its module. `directory` is a real path.
 */
export function confine(directory: string): Plugin {
  const roots = listRoots(directory);
  return {
    name: 'confine',
    setup(build) {
      build.onLoad({ filter: /.*/, namespace: 'file' }, async ({ path, with: attributes }) => {
        const real = await realpath(path).catch(() => null);
        if (real === null || !isBelow(roots, real)) {
          return refuse(
            `${real ?? path} lies outside of the capsule: expected a file in its directory, or in a node_modules directory there or above (no link out of them)`,
          );
        }
        const { type = 'json', ...others } = attributes;
        if (type !== 'json' || Object.keys(others).length > 0 || !SOURCE_FILES.has(extname(real))) {
          return refuse(`${basename(path)} cannot be imported: expected TypeScript, JavaScript or JSON`);
        }
        return { contents: withoutMapFile(await readFile(real)), loader: 'default' };
      });
    },
  };
}

/** A real path at or below a real directory. */
export function isBelow(directories: readonly string[], path: string): boolean {
  return directories.some((directory) => path.startsWith(directory.endsWith(sep) ? directory : directory + sep));
}

/** The directory itself, and where npm looks for the packages of a file in it. */
function listRoots(directory: string): string[] {
  const roots = [directory];
  for (let at = directory; ; at = dirname(at)) {
    if (basename(at) !== 'node_modules') roots.push(join(at, 'node_modules'));
    if (at === dirname(at)) return roots;
  }
}

/** The bundler reads the map that a comment names, wherever it lies, and what is in it becomes part of the module's own. */
function withoutMapFile(bytes: Buffer): Uint8Array | string {
  if (!bytes.includes(' sourceMappingURL=')) return bytes;
  return bytes.toString('utf8').replace(MAP_COMMENT, (_, open: string, mark: string) => open + ESCAPED[mark]);
}
