import { constants } from 'node:fs';
import { open, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type NoteKey, parseNoteKey } from '../abi/audit/note.js';
import { parseSegmentName } from '../abi/audit/segment-head.js';
import type { SegmentSource } from '../abi/audit/verify.js';
import { asFault, Fault } from '../abi/errno.js';

/** A file and what to call it in a message: what is below the home is reached through an open directory. */
export interface NamedFile {
  readonly path: string;
  readonly label: string;
}

const CHUNK_BYTES = 256 * 1024;
const SMALL_FILE_BYTES_MAX = 64 * 1024;

/** Never waits on a pipe that somebody put in the place of a file. */
const READ_FLAGS = constants.O_RDONLY | constants.O_NONBLOCK;

function ioFault(label: string, error: unknown): Fault {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  if (code === 'ENOENT') return new Fault('not_found', `${label} is not there`);
  if (code === 'ELOOP') return new Fault('io_error', `${label} is a symbolic link; a log consists of plain files`);
  return new Fault('io_error', `${label} cannot be read (${String(code ?? asFault(error).message)})`);
}

/** A file of at most 64 KiB as text: a key, a checkpoint, a proof. Faults: `not_found`, `io_error`, `too_large`. */
export async function readSmallFile({ path, label }: NamedFile): Promise<string> {
  try {
    const handle = await open(path, READ_FLAGS);
    try {
      const { bytesRead, buffer } = await handle.read(Buffer.alloc(SMALL_FILE_BYTES_MAX + 1), 0);
      if (bytesRead > SMALL_FILE_BYTES_MAX) throw new Fault('too_large', `${label} is larger than 64 KiB`);
      return buffer.toString('utf8', 0, bytesRead);
    } finally {
      await handle.close();
    }
  } catch (error) {
    throw error instanceof Fault ? error : ioFault(label, error);
  }
}

/** The pinned key, from a file with one verifier key line (`name+id+key`). */
export async function readPinnedKey(file: NamedFile): Promise<NoteKey> {
  const text = await readSmallFile(file);
  try {
    return parseNoteKey(text);
  } catch (error) {
    throw new Fault('bad_proof', `${file.label} is no public key: ${asFault(error).message}`, { field: 'key' });
  }
}

async function* readChunks(path: string, name: string): AsyncGenerator<Buffer, void, void> {
  // A segment that is a link could name anything outside of the copy that is being verified.
  const handle = await open(path, READ_FLAGS | constants.O_NOFOLLOW).catch((error: unknown) => {
    throw ioFault(name, error);
  });
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

/** The segments of a log directory, in the order of the log. Other files in it are none of ours. Fault `not_found`. */
export async function listSegments(directory: NamedFile): Promise<SegmentSource[]> {
  let names: string[];
  try {
    names = await readdir(directory.path);
  } catch (error) {
    throw ioFault(directory.label, error);
  }
  return names
    .filter((name) => parseSegmentName(name) !== null)
    .sort()
    .map((name) => ({ name, chunks: { [Symbol.asyncIterator]: () => readChunks(join(directory.path, name), name) } }));
}
