import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The checkout: compiled tests run from a folder below it. */
export const PACKAGE_ROOT = findRoot(dirname(fileURLToPath(import.meta.url)));

function findRoot(directory: string): string {
  if (existsSync(join(directory, 'package.json')) && existsSync(join(directory, 'abi'))) {
    if (!directory.includes(`${'/'}dist`) && !directory.includes('/.build')) return directory;
  }
  const parent = dirname(directory);
  if (parent === directory) throw new Error('the test does not run from inside a checkout');
  return findRoot(parent);
}
