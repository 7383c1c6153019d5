import { Fault } from '../../abi/errno.js';
import { LIMITS } from '../../abi/limits.js';
import { errnoOf } from './errno-fault.js';
import { withHandles } from './handle-scope.js';
import { type HeldEntry, openRoot } from './held-dir.js';

/** What every file, directory and whiteout counts beside its content: empty ones take inodes and records, too. */
export const ENTRY_BYTES = 1024;

/** What the content of an entry counts: only that of a file. The one place that says so, or what is given back is not what was taken. */
export function contentBytes({ kind, stat }: HeldEntry): number {
  return kind === 'file' ? Number(stat.size) : 0;
}

/** Where a mount asks before it stores more. `take` throws `quota_exceeded`, and then nothing was taken. */
export interface ByteQuota {
  take(bytes: number): void;
  /** Of what is stored already, whether it should be or not. */
  count(bytes: number): void;
  give(bytes: number): void;
}

/** The bytes one principal may store. `usedBytes`: what is stored already (`measureTreeBytes`). */
export class StorageQuota implements ByteQuota {
  readonly #bytesMax: number;
  #usedBytes: number;

  constructor(bytesMax: number, usedBytes = 0) {
    this.#bytesMax = bytesMax;
    this.#usedBytes = usedBytes;
  }

  get usedBytes(): number {
    return this.#usedBytes;
  }

  take(bytes: number): void {
    if (this.#usedBytes + bytes > this.#bytesMax) {
      throw new Fault(
        'quota_exceeded',
        `storage: ${this.#bytesMax} bytes are all this principal may store; delete files, or commit or roll back what sessions changed`,
      );
    }
    this.#usedBytes += bytes;
  }

  count(bytes: number): void {
    this.#usedBytes += bytes;
  }

  give(bytes: number): void {
    this.#usedBytes = Math.max(0, this.#usedBytes - bytes);
  }
}

/**
 * What a directory tree counts against a quota: the root itself nothing, each entry ENTRY_BYTES, each file its size.
 * Links are counted, not followed. 0 when there is no such directory.
 */
export async function measureTreeBytes(hostPath: string): Promise<number> {
  let root: HeldEntry;
  try {
    root = await openRoot(hostPath, 'storage');
  } catch (error) {
    if (error instanceof Fault && error.code === 'not_found') return 0;
    throw error;
  }
  try {
    return await measureBelow(root, 0);
  } finally {
    root.close();
  }
}

async function measureBelow(directory: HeldEntry, depth: number): Promise<number> {
  let bytes = 0;
  try {
    // One at a time: a directory that is too wide to be listed is stored all the same.
    for await (const row of directory.names()) {
      bytes += ENTRY_BYTES;
      if (!row.isFile && !row.isDirectory) continue;
      bytes += await withHandles(async (scope) => {
        const entry = scope.own(await directory.lookup(row.name));
        if (entry === null) return 0;
        const inside = entry.kind === 'directory' && depth < LIMITS.pathSegmentsMax;
        return contentBytes(entry) + (inside ? await measureBelow(entry, depth + 1) : 0);
      });
    }
  } catch (error) {
    // A session's copy of a workspace directory that its owner may not read must not make all files of the principal unusable.
    if (errnoOf(error) !== 'EACCES') throw error;
  }
  return bytes;
}
