import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, link, open, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';
import { Fault } from '../../abi/errno.js';
import { MASTER_KEY_BYTES } from './secret-codec.js';

const FIELD = 'keys/secrets.key';

/** The home's key for secrets, made at first use. @throws Fault `bad_home` for a file that others can read or that is no key */
export async function loadSecretKey(path: string): Promise<Buffer> {
  const known = await readKey(path);
  if (known !== null) return known;
  await writeOnce(path, randomBytes(MASTER_KEY_BYTES));
  const made = await readKey(path);
  return made ?? refuse('to stay where it was written');
}

/** The open file is checked, not its name: what was checked is what is read. */
async function readKey(path: string): Promise<Buffer | null> {
  let handle: FileHandle;
  try {
    handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === 'ENOENT') return null;
    return refuse(`a file that can be opened (${code ?? 'failed'})`, cause);
  }
  try {
    const stat = await handle.stat();
    if (!stat.isFile()) refuse('a regular file');
    if ((stat.mode & 0o077) !== 0) refuse('no access for anybody else (chmod 600)');
    if (stat.uid !== process.getuid?.()) refuse('to be owned by the user who runs this');
    if (stat.size !== MASTER_KEY_BYTES) refuse(`${MASTER_KEY_BYTES} bytes`);
    return await handle.readFile();
  } finally {
    await handle.close();
  }
}

/** Whole or not at all, and never over another: two that start at once agree on the first. */
async function writeOnce(path: string, bytes: Buffer): Promise<void> {
  const draft = `${path}.${randomBytes(8).toString('hex')}`;
  const handle = await open(draft, 'wx', 0o600);
  try {
    try {
      await handle.writeFile(bytes);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await link(draft, path).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error;
    });
  } finally {
    await unlink(draft);
  }
  const directory = await open(dirname(path), constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

function refuse(expected: string, cause?: unknown): never {
  throw new Fault('bad_home', `${FIELD}: expected ${expected}`, { field: FIELD, cause });
}
