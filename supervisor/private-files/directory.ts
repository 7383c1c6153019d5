import { constants, mkdirSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { Fault } from '../../abi/errno.js';

/** Makes new and removed names in a directory durable. Throws what the operating system throws. */
export async function syncDirectory(path: string): Promise<void> {
  const handle = await open(path, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** No such directory for us, now and later. Whatever else there is (no descriptor, no memory) may pass. */
const NOT_OURS: ReadonlySet<string | undefined> = new Set(['ELOOP', 'ENOTDIR', 'ENOENT', 'EACCES', 'EPERM']);

/**
 * Makes the directory if it is missing, and refuses one that is a symlink, somebody else's, or writable by others:
 * whoever can write there can replace the log. Throws Fault `bad_home`.
 */
export async function preparePrivateDirectory(path: string): Promise<void> {
  mkdirSync(path, { recursive: true, mode: 0o700 });
  const handle = await open(path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW).catch((cause) => {
    if (!NOT_OURS.has((cause as NodeJS.ErrnoException).code))
      throw new Fault('io_error', 'log directory: cannot be opened now', { cause });
    throw new Fault('bad_home', 'log directory: expected a directory that can be opened', { field: 'log-dir', cause });
  });
  try {
    const { mode, uid } = await handle.stat();
    if ((mode & 0o077) === 0 && uid === process.getuid?.()) return;
    throw new Fault('bad_home', 'log directory: expected to be its only user (chmod 700)', { field: 'log-dir' });
  } finally {
    await handle.close();
  }
}
