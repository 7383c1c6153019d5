import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { Fault } from '../../abi/errno.js';

const PACKAGES = ['esbuild', 'quickjs-wasi', 'wabt', 'binaryen', '@bytecodealliance/wizer', 'assemblyscript'] as const;
const require = createRequire(import.meta.url);

/** Installed versions of everything that has a part in the bytes of a module. */
export function readToolVersions(): Record<string, string> {
  return Object.fromEntries(PACKAGES.map((name) => [name, readVersion(name)]));
}

/** Some of these packages do not export their package.json, so it is looked for on the paths that Node looks on. */
function readVersion(name: string): string {
  for (const directory of require.resolve.paths(name) ?? []) {
    let text: string;
    try {
      text = readFileSync(join(directory, name, 'package.json'), 'utf8');
    } catch {
      continue;
    }
    const { version } = JSON.parse(text) as { version?: unknown };
    if (typeof version === 'string') return version;
  }
  throw new Fault('not_found', `the package ${name} is not installed: run npm install`, { field: name });
}
