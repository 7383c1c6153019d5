import fs from 'node:fs';
import {
  chmod,
  type FileHandle,
  link,
  mkdir,
  opendir,
  open as openFile,
  readlink,
  rename,
  rmdir,
  unlink,
} from 'node:fs/promises';
import { promisify } from 'node:util';
import { Fault } from '../../abi/errno.js';
import { LIMITS } from '../../abi/limits.js';
import { EntryError, errnoOf } from './errno-fault.js';

const openFd = promisify(fs.open);
const fstat = promisify(fs.fstat);

const { O_CREAT, O_DIRECTORY, O_EXCL, O_NOCTTY, O_NOFOLLOW, O_NONBLOCK, O_RDONLY, O_WRONLY } = fs.constants;
/**
 * open(2): a handle on the entry itself. It opens no file, so a fifo does not block and a device does nothing, and with
 * O_NOFOLLOW it takes hold of a symbolic link instead of following it. Node does not export the number; this one
 * (asm-generic/fcntl.h) holds for every processor that Node is built for on Linux.
 */
const O_PATH = 0o10000000;

export type EntryKind = 'file' | 'directory' | 'symlink' | 'whiteout' | 'special';

/** Bytes where a program that is not ours gave the name: it may be no UTF-8, and as text it would name nothing. */
export type EntryName = string | Buffer;

let heldCount = 0;

/** Handles open now, for tests: it is back at its start when an operation has ended, however it ended. */
export function countHeldHandles(): number {
  return heldCount;
}

/** The kernel's overlayfs marks a deletion with a character device 0:0 (Documentation/filesystems/overlayfs.rst). */
function kindOf(stat: fs.BigIntStats): EntryKind {
  if (stat.isFile()) return 'file';
  if (stat.isDirectory()) return 'directory';
  if (stat.isSymbolicLink()) return 'symlink';
  return stat.isCharacterDevice() && stat.rdev === 0n ? 'whiteout' : 'special';
}

/**
 * A hold on one entry of a file system, whatever its kind. Everything below a root is reached by asking a held
 * directory for one name at a time (`/proc/self/fd/N/name`), so the kernel never resolves a path of ours: what was
 * checked is what is used, even if the name is given to something else in between.
 *
 * A handle must be closed only after every call on it has settled; a number that is free again would name another
 * file. `withHandles` sees to that.
 */
export class HeldEntry {
  readonly stat: fs.BigIntStats;
  readonly kind: EntryKind;
  #fd: number | null;

  private constructor(fd: number, stat: fs.BigIntStats) {
    this.#fd = fd;
    this.stat = stat;
    this.kind = kindOf(stat);
    heldCount += 1;
  }

  static async open(path: EntryName, flags: number): Promise<HeldEntry> {
    const fd = await openFd(path, O_PATH | flags);
    try {
      return new HeldEntry(fd, await fstat(fd, { bigint: true }));
    } catch (error) {
      fs.closeSync(fd);
      throw error;
    }
  }

  /** The descriptor, to be handed to a child process. */
  get fd(): number {
    if (this.#fd === null) throw new Fault('internal', 'a closed handle was used');
    return this.#fd;
  }

  /** Which object this is, for as long as it exists: device and inode. */
  get identity(): string {
    return `${this.stat.dev}:${this.stat.ino}`;
  }

  /** O_PATH handles have nothing to flush, so closing them never waits. */
  close(): void {
    if (this.#fd === null) return;
    fs.closeSync(this.#fd);
    this.#fd = null;
    heldCount -= 1;
  }

  /** The last guard before a name reaches the system: one component, and not a way up. */
  #child(name: EntryName): EntryName {
    // As latin1 every byte is one character, so nothing that the kernel would see is hidden from the check.
    const text = typeof name === 'string' ? name : name.toString('latin1');
    if (text === '' || text === '.' || text === '..' || text.includes('/') || text.includes('\0')) {
      throw new Fault('internal', 'a name that is no single component reached the file system');
    }
    const parent = `/proc/self/fd/${this.fd}/`;
    return typeof name === 'string' ? parent + name : Buffer.concat([Buffer.from(parent), name]);
  }

  /** Takes hold of an entry without following it; null when there is none. */
  async lookup(name: EntryName): Promise<HeldEntry | null> {
    try {
      return await HeldEntry.open(this.#child(name), O_NOFOLLOW);
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return null;
      throw error;
    }
  }

  /** The text of a symbolic link; null when the name is no link (any more). */
  async readLink(name: string): Promise<string | null> {
    try {
      return await readlink(this.#child(name));
    } catch (error) {
      if (errnoOf(error) === 'EINVAL') return null;
      throw error;
    }
  }

  /** Names and kinds of a directory's entries, unordered. A character device is looked at, to tell a whiteout. */
  async list(): Promise<{ name: string; kind: EntryKind }[]> {
    const rows: { name: string; kind: EntryKind }[] = [];
    for await (const row of await opendir(`/proc/self/fd/${this.fd}`, { bufferSize: 256 })) {
      if (rows.length === LIMITS.directoryEntriesMax) {
        throw new EntryError('too_large', `is a directory of more than ${LIMITS.directoryEntriesMax} entries`);
      }
      if (row.isFile()) rows.push({ name: row.name, kind: 'file' });
      else if (row.isDirectory()) rows.push({ name: row.name, kind: 'directory' });
      else if (row.isSymbolicLink()) rows.push({ name: row.name, kind: 'symlink' });
      else rows.push({ name: row.name, kind: row.isCharacterDevice() ? await this.#kindAt(row.name) : 'special' });
    }
    return rows;
  }

  /** Every entry's name as bytes, and whether it is a directory, one at a time: a hostile directory has as many as it likes. */
  async *names(): AsyncGenerator<{ name: Buffer; isDirectory: boolean; isFile: boolean }, void, void> {
    // The types know only text here; with this encoding Node gives bytes.
    const encoding = 'buffer' as BufferEncoding;
    for await (const row of await opendir(`/proc/self/fd/${this.fd}`, { encoding, bufferSize: 256 })) {
      const name = row.name as unknown as Buffer;
      yield { name, isDirectory: row.isDirectory(), isFile: row.isFile() };
    }
  }

  async #kindAt(name: string): Promise<EntryKind> {
    const entry = await this.lookup(name);
    entry?.close();
    return entry?.kind ?? 'special';
  }

  /**
   * Opens the held regular file for reading; the caller closes it. It goes through the handle, not through the name, so
   * it is the very file whose kind was looked at. Directories can be opened too, for `sync`.
   */
  async openData(): Promise<FileHandle> {
    if (this.kind !== 'file' && this.kind !== 'directory') {
      throw new Fault('internal', 'only files and directories are opened');
    }
    const flags = O_RDONLY | O_NONBLOCK | O_NOCTTY | (this.kind === 'directory' ? O_DIRECTORY : 0);
    return openFile(`/proc/self/fd/${this.fd}`, flags);
  }

  /** Gives back disk that the held file reserved beyond its end (fallocate(2), FALLOC_FL_KEEP_SIZE). Nobody else may have it open. */
  async trim(): Promise<void> {
    const file = await openFile(`/proc/self/fd/${this.fd}`, O_WRONLY | O_NONBLOCK | O_NOCTTY);
    try {
      await file.truncate(Number((await file.stat({ bigint: true })).size));
    } finally {
      await file.close();
    }
  }

  /** Creates a file that was not there; the caller closes it. */
  async createFile(name: string, mode: number): Promise<FileHandle> {
    return openFile(this.#child(name), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode);
  }

  async makeDir(name: string, mode: number): Promise<void> {
    await mkdir(this.#child(name), { mode });
  }

  async removeFile(name: EntryName): Promise<void> {
    await unlink(this.#child(name));
  }

  async removeDir(name: EntryName): Promise<void> {
    await rmdir(this.#child(name));
  }

  /** rename(2): atomic, follows no link in either last name, and replaces what `toName` was. */
  async moveTo(name: EntryName, toDir: HeldEntry, toName: string): Promise<void> {
    await rename(this.#child(name), toDir.#child(toName));
  }

  /** link(2): atomic, and fails with EEXIST rather than replace anything. */
  async linkTo(name: string, toDir: HeldEntry, toName: string): Promise<void> {
    await link(this.#child(name), toDir.#child(toName));
  }

  /** Sets the permission bits of the held entry, whatever the umask is. Not for links: it would follow them. */
  async setMode(mode: number): Promise<void> {
    if (this.kind === 'symlink') throw new Fault('internal', 'the mode of a link was to be set');
    await chmod(`/proc/self/fd/${this.fd}`, mode);
  }

  /** Makes the names in this directory survive a power cut. */
  async syncNames(): Promise<void> {
    const handle = await this.openData();
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  }
}

/**
 * Opens the directory that becomes a root. `hostPath` comes from the operator, so links in it are followed. Throws
 * `not_supported` where the kernel does not offer `/proc/self/fd`: a walk by whole paths could be raced, and there is
 * no weaker form.
 */
export async function openRoot(hostPath: string, field: string): Promise<HeldEntry> {
  if (process.platform !== 'linux') {
    throw new Fault('not_supported', `files are served on Linux only; this is ${process.platform}`);
  }
  let root: HeldEntry;
  try {
    root = await HeldEntry.open(hostPath, O_DIRECTORY);
  } catch (error) {
    const absent = errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENOTDIR';
    throw new Fault(absent ? 'not_found' : 'io_error', `${field}: expected a directory that can be opened`, {
      field,
      cause: error,
    });
  }
  try {
    const again = await HeldEntry.open(`/proc/self/fd/${root.fd}/.`, O_DIRECTORY);
    again.close();
    if (again.identity === root.identity) return root;
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT' && errnoOf(error) !== 'ENOTDIR') {
      root.close();
      throw new Fault('io_error', `${field}: cannot be opened now`, { field, cause: error });
    }
  }
  root.close();
  throw new Fault('not_supported', `files need /proc to be mounted; this ${process.platform} machine does not have it`);
}
