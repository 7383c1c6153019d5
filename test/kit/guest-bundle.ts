import { join } from 'node:path';
import { build, stop } from 'esbuild';
import { PACKAGE_ROOT } from './package-root.js';

const scripts = new Map<string, Promise<string>>();

/** One script from a capsule's sources, as `astrid build` would hand it to QuickJS. Bundled once per process. */
export function bundleCapsuleScript(name: string): Promise<string> {
  const entry = join(PACKAGE_ROOT, 'capsules', name, 'main.ts');
  const known = scripts.get(entry) ?? runEsbuild({ entryPoints: [entry] });
  scripts.set(entry, known);
  return known;
}

/** One script from source text that may import the SDK and, relative to `capsules/`, the capsules' own files. */
export function bundleGuestSource(contents: string): Promise<string> {
  return runEsbuild({ stdin: { contents, resolveDir: join(PACKAGE_ROOT, 'capsules'), loader: 'ts' } });
}

/** Ends esbuild's service process, which would outlive the test file. */
export async function closeGuestBundler(): Promise<void> {
  await stop();
}

type Source = { entryPoints: string[] } | { stdin: { contents: string; resolveDir: string; loader: 'ts' } };

async function runEsbuild(source: Source): Promise<string> {
  const result = await build({
    ...source,
    bundle: true,
    write: false,
    format: 'iife',
    target: 'es2023',
    platform: 'neutral',
    tsconfig: join(PACKAGE_ROOT, 'capsules', 'tsconfig.json'),
    logLevel: 'silent',
  });
  const [file] = result.outputFiles;
  if (file === undefined) throw new Error('the bundler made no file');
  return file.text;
}
