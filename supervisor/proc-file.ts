import { readFileSync } from 'node:fs';

/** What these mean of a file below /proc: its process is gone, or it is not ours to look at. */
const GONE: ReadonlySet<string> = new Set(['ENOENT', 'ESRCH', 'EACCES']);

/**
 * A small file of proc(5), or null when its process is gone. Throws the system's error when it cannot be told, out of descriptors for
 * example: whoever took that for "gone" would let a process live that it means to end.
 */
export function readProcFile(path: string): string | null {
  try {
    return readFileSync(path, 'latin1');
  } catch (error) {
    if (error instanceof Error && 'code' in error && GONE.has(String(error.code))) return null;
    throw error;
  }
}
