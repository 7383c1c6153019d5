import { open } from 'node:fs/promises';
import { type NoteKey, parseNoteKey } from '../abi/audit/note.js';
import { ioFault, type NamedFile, READ_FLAGS } from '../abi/audit/segment-files.js';
import { asFault, Fault } from '../abi/errno.js';

const SMALL_FILE_BYTES_MAX = 64 * 1024;

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
