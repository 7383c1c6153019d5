import { closeSync, constants, fdatasync, fstatSync, ftruncateSync, openSync, readSync, writeSync } from 'node:fs';
import { Fault } from '../../abi/errno.js';

/** What the log needs of a file. A test puts one that fails in its place. */
export interface DiskFile {
  readonly size: number;
  /** All of `bytes`, or a throw: a part may then be written. */
  write(bytes: Buffer, position: number): void;
  /** Up to `length` bytes; fewer only at the end of the file. */
  read(position: number, length: number): Buffer;
  truncate(size: number): void;
  sync(): Promise<void>;
  close(): void;
}

export type OpenDiskFile = (path: string, mode: 'create' | 'open' | 'openOrCreate') => DiskFile;

const FLAGS = {
  create: constants.O_RDWR | constants.O_CREAT | constants.O_EXCL,
  open: constants.O_RDWR,
  openOrCreate: constants.O_RDWR | constants.O_CREAT,
} as const;

const NO_ROOM: ReadonlySet<unknown> = new Set(['ENOSPC', 'EDQUOT', 'EFBIG']);

export function errnoOf(thrown: unknown): string {
  return thrown instanceof Error && 'code' in thrown && typeof thrown.code === 'string' ? thrown.code : 'unknown';
}

/** A failed file operation as a Fault: `no_space` or `io_error`. It names the operation and never the path. */
export function faultOfDisk(operation: string, thrown: unknown): Fault {
  if (thrown instanceof Fault) return thrown;
  const errno = errnoOf(thrown);
  return new Fault(NO_ROOM.has(errno) ? 'no_space' : 'io_error', `${operation} failed (${errno})`, { cause: thrown });
}

/** A file that only its owner can read. A symlink at its place is refused. Throws what the operating system throws. */
export const openDiskFile: OpenDiskFile = (path, mode) => {
  const fd = openSync(path, FLAGS[mode] | constants.O_NOFOLLOW, 0o600);
  return new FdFile(fd);
};

class FdFile implements DiskFile {
  readonly #fd: number;

  constructor(fd: number) {
    this.#fd = fd;
  }

  get size(): number {
    return fstatSync(this.#fd).size;
  }

  write(bytes: Buffer, position: number): void {
    let done = 0;
    while (done < bytes.length) {
      done += writeSync(this.#fd, bytes, done, bytes.length - done, position + done);
    }
  }

  read(position: number, length: number): Buffer {
    const bytes = Buffer.allocUnsafe(length);
    let done = 0;
    while (done < length) {
      const count = readSync(this.#fd, bytes, done, length - done, position + done);
      if (count === 0) break;
      done += count;
    }
    return bytes.subarray(0, done);
  }

  truncate(size: number): void {
    ftruncateSync(this.#fd, size);
  }

  sync(): Promise<void> {
    return new Promise((resolve, reject) => {
      fdatasync(this.#fd, (error) => (error === null || error === undefined ? resolve() : reject(error)));
    });
  }

  close(): void {
    closeSync(this.#fd);
  }
}
