import { readFile } from 'node:fs/promises';
import { isBuiltin } from 'node:module';
import { join, posix } from 'node:path';
import type { OnResolveArgs, OnResolveResult, Plugin } from 'esbuild';

/** What a capsule imports the guest SDK by: `astrid/sdk` for its main module, `astrid/sdk/<name>` for the others. */
const SDK_IMPORT = /^astrid\/sdk(?:\/(.*))?$/;
const SDK_MAIN = 'capsule';
const SDK_MODULE_NAME = /^[a-z0-9][a-z0-9-]*$/;
/** Modules of the SDK are named in messages and source maps by this and their file name, wherever the SDK lies. */
export const SDK_NAMESPACE = 'astrid-sdk';

/** Node's own modules do not exist inside a capsule; a package from npm that has the name of one does. */
export function refuseNode(): Plugin {
  const refusal = (path: string): OnResolveResult => ({
    errors: [
      {
        text: `"${path}" is a module of Node.js, and capsules run without Node: use the modules of astrid/sdk instead`,
      },
    ],
  });
  return {
    name: 'refuse-node',
    setup(build) {
      build.onResolve({ filter: /^node:/ }, (args) => refusal(args.path));
      build.onResolve({ filter: /^[a-z_/]+$/ }, async (args) => {
        const asked = args.pluginData as { looking?: boolean } | undefined;
        if (!isBuiltin(args.path) || asked?.looking === true || args.resolveDir === '') return undefined;
        const { resolveDir, kind, importer, namespace } = args;
        const pluginData = { looking: true };
        const found = await build.resolve(args.path, { resolveDir, kind, importer, namespace, pluginData });
        if (found.errors.length > 0 || found.external) return refusal(args.path);
        return { path: found.path, namespace: found.namespace, sideEffects: found.sideEffects };
      });
    },
  };
}

/** Serves the SDK from its directory, by names that do not depend on where that directory is. */
export function resolveSdk(sdkDir: string): Plugin {
  return {
    name: 'astrid-sdk',
    setup(build) {
      build.onResolve({ filter: SDK_IMPORT }, (args) => resolveModule(args.path));
      build.onResolve({ filter: /^\./, namespace: SDK_NAMESPACE }, resolveBetweenModules);
      build.onLoad({ filter: /.*/, namespace: SDK_NAMESPACE }, async (args) => {
        const file = join(sdkDir, ...args.path.split('/'));
        try {
          return { contents: await readFile(file, 'utf8'), loader: 'ts', pluginData: { file } };
        } catch {
          const name = args.path.replace(/\.ts$/, '');
          return {
            errors: [{ text: `the SDK has no module "${name === SDK_MAIN ? 'astrid/sdk' : `astrid/sdk/${name}`}"` }],
          };
        }
      });
    },
  };
}

function resolveModule(specifier: string): OnResolveResult {
  const name = SDK_IMPORT.exec(specifier)?.[1] ?? SDK_MAIN;
  if (!SDK_MODULE_NAME.test(name)) return { errors: [{ text: `the SDK has no module "${specifier}"` }] };
  return { path: `${name}.ts`, namespace: SDK_NAMESPACE, sideEffects: hasSideEffects(`${name}.ts`) };
}

/** `./call.js` in the SDK is its file `call.ts`; nothing outside its directory is part of it. */
function resolveBetweenModules(args: OnResolveArgs): OnResolveResult {
  const path = posix.join(posix.dirname(args.importer), args.path).replace(/\.js$/, '.ts');
  if (path.startsWith('..')) return { errors: [{ text: `"${args.path}" lies outside the SDK` }] };
  return { path, namespace: SDK_NAMESPACE, sideEffects: hasSideEffects(path) };
}

/** Only these do anything when they are loaded: all others are left out of a bundle that uses nothing of theirs. */
function hasSideEffects(file: string): boolean {
  return file === `${SDK_MAIN}.ts` || file === 'globals.ts';
}
