// The programs that run as one file each. Plain JavaScript: loaded on a fresh clone, before esbuild is there.
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

async function bundle(root, options) {
  const { build } = await import(pathToFileURL(join(root, 'node_modules/esbuild/lib/main.js')).href);
  await build({
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    logLevel: 'warning',
    legalComments: 'none',
    // Bundled CommonJS packages still ask for `require`.
    banner: { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);" },
    ...options,
  });
}

/** Reading 500 files one by one takes longer than all else that a start of the supervisor does. */
export async function bundleSupervisor(root) {
  await bundle(root, {
    entryPoints: [join(root, 'supervisor/main.ts')],
    outfile: join(root, 'dist/supervisor/main.bundle.mjs'),
    // These find files of their own beside themselves.
    external: ['lmdb', 'piscina', 'pino'],
    sourcemap: 'linked',
  });
}

export async function bundleWorker(root) {
  await bundle(root, {
    entryPoints: [join(root, 'worker/main.ts')],
    outfile: join(root, 'dist/worker/worker.bundle.mjs'),
    // Parts of Node that the Extism SDK imports and the worker must not have.
    alias: { wasi: join(root, 'worker/absent.ts'), 'node:worker_threads': join(root, 'worker/absent.ts') },
    minify: true,
  });
}
