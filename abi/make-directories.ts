import { mkdir, stat } from 'node:fs/promises';
import { dirname } from 'node:path';

/**
 * Makes a directory and those above it that are missing; one that is there already is left as it is. Node's own recursive
 * `mkdir` is not used for a path that somebody names: where the system says ENOENT below a directory that is there, as in
 * /proc, it tries for ever. Throws what the operating system throws.
 */
export async function makeDirectories(path: string, mode: number): Promise<void> {
  if (await makeOne(path, mode)) return;
  await makeDirectories(dirname(path), mode);
  if (!(await makeOne(path, mode))) throw Object.assign(new Error(`${path} cannot be made`), { code: 'ENOENT' });
}

/** False: what it lies in is missing. */
async function makeOne(path: string, mode: number): Promise<boolean> {
  try {
    await mkdir(path, { mode });
    return true;
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'ENOENT' && dirname(path) !== path) return false;
    if (await isDirectory(path)) return true;
    throw error;
  }
}

function isDirectory(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
}
