import { readdir } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { build, type Message, type Plugin } from 'esbuild';
import { Fault } from '../../abi/errno.js';
import type { Project } from './project.js';

const SKIPPED = new Set(['node_modules', '.git', '.astrid', 'dist']);
const DEPTH_MAX = 8;
const TEST_FILE = /\.test\.ts$/;

/** Test files of a capsule, relative to its directory, sorted. */
export async function listTestFiles(dir: string, only: string | undefined): Promise<string[]> {
  const found: string[] = [];
  const walk = async (at: string, depth: number): Promise<void> => {
    for (const entry of await readdir(at, { withFileTypes: true })) {
      const path = join(at, entry.name);
      if (entry.isDirectory() && depth < DEPTH_MAX && !SKIPPED.has(entry.name)) await walk(path, depth + 1);
      else if (entry.isFile() && TEST_FILE.test(entry.name)) found.push(relative(dir, path));
    }
  };
  await walk(dir, 0);
  return found.filter((file) => only === undefined || file.includes(only)).sort();
}

/**
 * One file that Node can run: the test with everything it imports, `astrid/testing` and the pure parts of the SDK
 * included. Throws Fault `invalid_argument` with file, line and column of each error.
 */
export async function bundleTest(project: Project, file: string, outfile: string): Promise<void> {
  try {
    await build({
      absWorkingDir: project.dir,
      entryPoints: [join(project.dir, file)],
      outfile,
      bundle: true,
      platform: 'node',
      format: 'esm',
      target: 'node20',
      sourcemap: 'inline',
      tsconfigRaw: '{}',
      logLevel: 'silent',
      plugins: [resolveAstrid(project)],
      banner: {
        js: "import { createRequire as __require } from 'node:module'; const require = __require(import.meta.url);",
      },
    });
  } catch (error) {
    const messages = (error as { errors?: Message[] }).errors;
    if (!Array.isArray(messages) || messages.length === 0) throw error;
    throw new Fault('invalid_argument', messages.map(describe).join('\n'), { field: file, cause: error });
  }
}

function describe({ location, text }: Message): string {
  return location === null ? text : `${location.file}:${location.line}:${location.column + 1}: ${text}`;
}

/** `astrid/testing` and `astrid/sdk/…` are files of this package, wherever the capsule lies. */
function resolveAstrid({ packageRoot, sdkDir }: Project): Plugin {
  return {
    name: 'astrid',
    setup(bundler) {
      bundler.onResolve({ filter: /^astrid\/testing$/ }, () => ({
        path: join(packageRoot, 'abi/testing/testing.ts'),
        sideEffects: true,
      }));
      bundler.onResolve({ filter: /^astrid\/sdk(\/[a-z0-9-]+)?$/ }, ({ path }) => ({
        path: join(sdkDir, `${path.slice('astrid/sdk/'.length) || 'capsule'}.ts`),
      }));
      // The sources import each other as the compiled files would be called.
      bundler.onResolve({ filter: /^\.\.?\/.*\.js$/ }, ({ path, importer }) =>
        importer.startsWith(join(packageRoot, 'abi'))
          ? { path: join(dirname(importer), path.replace(/\.js$/, '.ts')) }
          : undefined,
      );
    },
  };
}
