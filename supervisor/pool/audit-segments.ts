import { constants } from 'node:fs';
import { open, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { parseSegmentName } from '../../abi/audit/segment-head.js';
import type { SegmentSource } from '../../abi/audit/verify.js';
import { Fault } from '../../abi/errno.js';

const CHUNK_BYTES = 256 * 1024;
/** A link could lead the verification to another log; a pipe in a file's place must not be waited for. */
const FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/** The segments of the log in `directory`, oldest first; each is opened when it is read. Fault `io_error`, `not_found`. */
export async function openAuditSegments(directory: string): Promise<SegmentSource[]> {
  const names = await readdir(directory).catch((thrown: unknown) => refuse('the log', thrown));
  return names
    .filter((name) => parseSegmentName(name) !== null)
    .sort()
    .map((name) => ({ name, chunks: readChunks(join(directory, name), name) }));
}

async function* readChunks(path: string, name: string): AsyncGenerator<Buffer> {
  const handle = await open(path, FLAGS).catch((thrown: unknown) => refuse(name, thrown));
  try {
    for (;;) {
      // A fresh buffer for each chunk: the verifier keeps views of it.
      const { bytesRead, buffer } = await handle.read(Buffer.allocUnsafe(CHUNK_BYTES), 0, CHUNK_BYTES);
      if (bytesRead === 0) return;
      yield buffer.subarray(0, bytesRead);
    }
  } finally {
    await handle.close();
  }
}

function refuse(label: string, thrown: unknown): never {
  const errno = thrown instanceof Error && 'code' in thrown ? String(thrown.code) : 'unknown';
  throw new Fault(errno === 'ENOENT' ? 'not_found' : 'io_error', `${label} cannot be read (${errno})`, {
    cause: thrown,
  });
}
