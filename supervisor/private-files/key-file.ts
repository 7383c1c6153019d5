import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, link, open, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';
import { Fault } from '../../abi/errno.js';
import { syncDirectory } from './directory.js';

/** @throws Fault `bad_home`, told as `field: expected …` */
export function refuseFile(field: string, expected: string, cause?: unknown): never {
  throw new Fault('bad_home', `${field}: expected ${expected}`, { field, cause });
}

/**
 * A key of `bytes` bytes that nobody else can read, or null when there is no such file. The open file is checked, not its
 * name: what was checked is what is read. @throws Fault `bad_home`
 */
export async function readKeyFile(path: string, field: string, bytes: number): Promise<Buffer | null> {
  const handle = await openIfThere(path, field);
  if (handle === null) return null;
  try {
    const stat = await handle.stat();
    if (!stat.isFile()) refuseFile(field, 'a regular file');
    if ((stat.mode & 0o077) !== 0) refuseFile(field, 'no access for anybody else (chmod 600)');
    if (stat.uid !== process.getuid?.()) refuseFile(field, 'to be owned by the user who runs this');
    if (stat.size !== bytes) refuseFile(field, `${bytes} bytes`);
    const read = await handle.readFile();
    return read.length === bytes ? read : refuseFile(field, `${bytes} bytes`);
  } finally {
    await handle.close();
  }
}

/** @returns null when there is no such file. @throws Fault `bad_home` for a link and whatever else cannot be opened */
export async function openIfThere(path: string, field: string): Promise<FileHandle | null> {
  try {
    // Without O_NONBLOCK a fifo in the file's place would hang the start.
    return await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (thrown) {
    const { code } = thrown as NodeJS.ErrnoException;
    if (code === 'ENOENT') return null;
    return refuseFile(field, `a file that can be opened (${code ?? 'failed'})`, thrown);
  }
}

/**
 * Complete or not at all, and never over another file: written under a private name, then linked. A crash in between leaves
 * no half key behind that would be refused for ever.
 * @returns false when there is one already, which stays. Throws what the operating system throws
 */
export async function writeOnce(path: string, bytes: Uint8Array): Promise<boolean> {
  const draft = `${path}.${randomBytes(8).toString('hex')}`;
  const handle = await open(draft, 'wx', 0o600);
  let isMine = true;
  try {
    try {
      await handle.writeFile(bytes);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await link(draft, path).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error;
      isMine = false;
    });
  } finally {
    await unlink(draft);
  }
  await syncDirectory(dirname(path));
  return isMine;
}
