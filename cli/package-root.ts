import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Fault } from '../abi/errno.js';

function readManifest(directory: string): { readonly name?: unknown; readonly version?: unknown } | null {
  try {
    const found: unknown = JSON.parse(readFileSync(join(directory, 'package.json'), 'utf8'));
    return typeof found === 'object' ? found : null;
  } catch {
    return null;
  }
}

/** The directory of this package: the nearest one above a file of ours whose package.json is named `astrid`. */
export function findPackageRoot(file: string): string {
  for (let directory = dirname(file); ; directory = dirname(directory)) {
    if (readManifest(directory)?.name === 'astrid') return directory;
    if (directory === dirname(directory)) throw new Fault('internal', 'this program lies outside of its package');
  }
}

export function readPackageVersion(file: string): string {
  return String(readManifest(findPackageRoot(file))?.version ?? '0.0.0');
}
