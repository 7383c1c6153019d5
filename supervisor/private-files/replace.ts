import { open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { syncDirectory } from './directory.js';

/**
 * The old text or the new one, whatever happens in between, and for nobody else to read. For a file that one process writes: the draft
 * has one name, so that what a crash left is found and replaced. Throws what the operating system throws.
 */
export async function replacePrivateFile(path: string, text: string): Promise<void> {
  const draft = `${path}.new`;
  try {
    await rm(draft, { force: true });
    const handle = await open(draft, 'wx', 0o600);
    try {
      await handle.writeFile(text);
      await handle.datasync();
    } finally {
      await handle.close();
    }
    await rename(draft, path);
  } catch (error) {
    await rm(draft, { force: true });
    throw error;
  }
  await syncDirectory(dirname(path));
}
