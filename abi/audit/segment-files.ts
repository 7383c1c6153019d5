import { constants } from 'node:fs';
import { open, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { asFault, Fault } from '../errno.js';
import { parseSegmentName } from './segment-head.js';
import type { SegmentSource } from './verify.js';

/** A file and what to call it in a message: a message names no path of the machine. */
export interface NamedFile {
  readonly path: string;
  readonly label: string;
}

const CHUNK_BYTES = 256 * 1024;

/** Never waits on a pipe that somebody put in the place of a file. */
export const READ_FLAGS = constants.O_RDONLY | constants.O_NONBLOCK;

/**
 * The segments of a log directory, in the order of the log; each is opened when it is read. Other files in it are none of ours.
 * Faults: `not_found`, `io_error`.
 */
export async function listSegments(directory: NamedFile): Promise<SegmentSource[]> {
  const names = await readdir(directory.path).catch((error: unknown) => refuse(directory.label, error));
  return names
    .filter((name) => parseSegmentName(name) !== null)
    .sort()
    .map((name) => ({ name, chunks: { [Symbol.asyncIterator]: () => readChunks(join(directory.path, name), name) } }));
}

async function* readChunks(path: string, name: string): AsyncGenerator<Buffer, void, void> {
  // A segment that is a link could name anything outside of the copy that is being verified.
  const flags = READ_FLAGS | constants.O_NOFOLLOW;
  const handle = await open(path, flags).catch((error: unknown) => refuse(name, error));
  try {
    for (;;) {
      // A fresh buffer per chunk: the reader keeps views of it.
      const { bytesRead, buffer } = await handle.read(Buffer.allocUnsafe(CHUNK_BYTES), 0, CHUNK_BYTES);
      if (bytesRead === 0) return;
      yield buffer.subarray(0, bytesRead);
    }
  } finally {
    await handle.close();
  }
}

function refuse(label: string, error: unknown): never {
  throw ioFault(label, error);
}

/** What the system said about a file, without its path. */
export function ioFault(label: string, error: unknown): Fault {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  if (code === 'ENOENT') return new Fault('not_found', `${label} is not there`);
  if (code === 'ELOOP') return new Fault('io_error', `${label} is a symbolic link; a log consists of plain files`);
  return new Fault('io_error', `${label} cannot be read (${String(code ?? asFault(error).message)})`);
}
