import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  mkdirSync,
  openSync,
  readSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { Fault } from '../../abi/errno.js';
import { isNoSpace } from './disk-fault.js';

/**
 * The checks that lmdb-js 3.5 leaves to its caller. When it cannot open a database it frees a structure twice, which
 * ends the process; when a mapped file has a hole and the disk is full, the kernel ends it. So whatever can be wrong
 * with the files is found here, before lmdb sees them.
 */

const FIELD = 'var/state';
/** lmdb writes into a mapping of its reader table: the file is filled with real bytes first, or that is a SIGBUS. */
const LOCK_FILE_BYTES = 16 * 1024;
/** What creating the tables takes, with room to spare. */
const CREATE_SPACE_BYTES = 512 * 1024;

/** Where LMDB keeps, in each of its two meta pages, magic, format version and page size (mdb.c: MDB_meta). */
const META = { magicAt: 24, versionAt: 28, pageBytesAt: 48, magic: 0xbeefc0de, version: 2, bytes: 64 } as const;
const PAGE_BYTES_MIN = 512;
const PAGE_BYTES_MAX = 65_536;

/** Makes `dir` (0700) and both files (0600) where they are missing. Faults: `bad_home`, `io_error`, `no_space`. */
export function prepareStateFiles(dir: string): void {
  withFaults('bad_home', 'var/state cannot be made', () => checkDirectory(dir));
  withFaults('io_error', 'the state database cannot be opened', () => {
    const flags = constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW;
    withFile(join(dir, 'lock.mdb'), flags, (lock) => {
      const { size } = fstatSync(lock);
      if (size < LOCK_FILE_BYTES) writeFully(lock, Buffer.alloc(LOCK_FILE_BYTES - size), size);
    });
    withFile(join(dir, 'data.mdb'), flags, (data) => {
      if (fstatSync(data).size === 0) probeSpace(dir);
      else checkHeader(data);
    });
  });
}

/** Throws `no_space` when the disk has no room to create tables in. */
export function probeSpace(dir: string): void {
  const path = join(dir, 'space-probe');
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | constants.O_NOFOLLOW;
  withFaults('io_error', 'the state database cannot grow', () => {
    try {
      withFile(path, flags, (probe) => writeFully(probe, Buffer.alloc(CREATE_SPACE_BYTES), 0));
    } finally {
      unlinkSync(path);
    }
  });
}

function checkDirectory(dir: string): void {
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const stat = lstatSync(dir);
  if (!stat.isDirectory()) throw new Fault('bad_home', 'var/state is not a directory', { field: FIELD });
  if (process.getuid !== undefined && stat.uid !== process.getuid()) {
    throw new Fault('bad_home', 'var/state belongs to another user', { field: FIELD });
  }
  const mode = stat.mode & 0o777;
  if ((mode & 0o077) !== 0) {
    const message = `var/state has mode ${mode.toString(8)}, expected 700: others could change what was approved`;
    throw new Fault('bad_home', message, { field: FIELD });
  }
}

/** Both meta pages must be LMDB's: the second is where the first says pages end. */
function checkHeader(data: number): void {
  const first = readMeta(data, 0);
  const pageBytes = first.readUInt32LE(META.pageBytesAt);
  const isPage = pageBytes >= PAGE_BYTES_MIN && pageBytes <= PAGE_BYTES_MAX && (pageBytes & (pageBytes - 1)) === 0;
  if (isMeta(first) && isPage && isMeta(readMeta(data, pageBytes))) return;
  const message = 'var/state/data.mdb is not a state database: restore it from a copy, or move it away to start anew';
  throw new Fault('io_error', message, { field: FIELD });
}

function readMeta(data: number, at: number): Buffer {
  const meta = Buffer.alloc(META.bytes);
  readSync(data, meta, 0, META.bytes, at);
  return meta;
}

function isMeta(meta: Buffer): boolean {
  return meta.readUInt32LE(META.magicAt) === META.magic && meta.readUInt32LE(META.versionAt) === META.version;
}

function withFile(path: string, flags: number, work: (fd: number) => void): void {
  const fd = openSync(path, flags, 0o600);
  try {
    if (!fstatSync(fd).isFile())
      throw new Fault('io_error', 'var/state holds something that is no file', { field: FIELD });
    work(fd);
  } finally {
    closeSync(fd);
  }
}

function writeFully(fd: number, bytes: Buffer, position: number): void {
  for (let written = 0; written < bytes.length; ) {
    written += writeSync(fd, bytes, written, bytes.length - written, position + written);
  }
}

function withFaults(code: 'bad_home' | 'io_error', message: string, work: () => void): void {
  try {
    work();
  } catch (cause) {
    if (cause instanceof Fault) throw cause;
    if (isNoSpace(cause)) throw new Fault('no_space', 'no space left for the state database', { field: FIELD, cause });
    throw new Fault(code, message, { field: FIELD, cause });
  }
}
