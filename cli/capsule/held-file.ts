import { constants, existsSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import { Fault } from '../../abi/errno.js';

const { O_DIRECTORY, O_NOFOLLOW, O_NONBLOCK, O_RDONLY } = constants;
const HAS_PROC = existsSync('/proc/self/fd');

/**
 * A regular file below a directory, `path` relative and already checked to hold no "..". Every component is opened from
 * the one before without following links, so that a package cannot make its installer read elsewhere.
 * @throws Fault `not_found`; `escapes_root` for a link; `too_large`; `io_error`
 */
export async function readBelow(directory: string, path: string, bytesMax: number): Promise<Buffer> {
  const segments = path.split('/');
  const file = segments.pop() ?? '';
  const held: FileHandle[] = [];
  try {
    let base = directory;
    const enter = async (at: string, flags: number) => {
      const handle = await open(at, O_RDONLY | O_DIRECTORY | flags).catch((thrown: unknown) => refuse(thrown, path));
      held.push(handle);
      base = HAS_PROC ? `/proc/self/fd/${handle.fd}` : at;
    };
    await enter(directory, 0);
    for (const segment of segments) await enter(join(base, segment), O_NOFOLLOW);
    const handle = await open(join(base, file), O_RDONLY | O_NOFOLLOW | O_NONBLOCK).catch((thrown: unknown) =>
      refuse(thrown, path),
    );
    held.push(handle);
    return await readBounded(handle, path, bytesMax);
  } finally {
    for (const handle of held.reverse()) await handle.close();
  }
}

/** The whole of an open regular file. @throws Fault `too_large`, `io_error` */
export async function readBounded(handle: FileHandle, name: string, bytesMax: number): Promise<Buffer> {
  const stat = await handle.stat();
  if (!stat.isFile()) throw new Fault('io_error', `${name} is not a regular file`, { field: name });
  const bytes = Buffer.alloc(Math.min(stat.size, bytesMax) + 1);
  let filled = 0;
  while (filled < bytes.length) {
    const { bytesRead } = await handle.read(bytes, filled, bytes.length - filled, filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  if (filled > bytesMax)
    throw new Fault('too_large', `${name}: at most ${bytesMax} bytes are accepted`, { field: name });
  return bytes.subarray(0, filled);
}

export function refuse(thrown: unknown, name: string): never {
  if (thrown instanceof Fault) throw thrown;
  const code = thrown instanceof Error && 'code' in thrown ? String(thrown.code) : 'failed';
  if (code === 'ENOENT') throw new Fault('not_found', `${name} is not there`, { field: name, cause: thrown });
  if (code === 'ELOOP' || code === 'ENOTDIR') {
    throw new Fault('escapes_root', `${name}: a link, or not a directory, on the way to it`, {
      field: name,
      cause: thrown,
    });
  }
  throw new Fault('io_error', `${name} cannot be read (${code})`, { field: name, cause: thrown });
}
