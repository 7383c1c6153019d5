import { randomBytes } from 'node:crypto';
import { constants, existsSync } from 'node:fs';
import { type FileHandle, lstat, mkdir, open, readdir, rename, rm, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { Fault, type FaultCode } from '../../abi/errno.js';

const { O_CREAT, O_DIRECTORY, O_EXCL, O_NOFOLLOW, O_NONBLOCK, O_RDONLY, O_WRONLY } = constants;
/** Names that `writeFileAtomic` writes to first: what a crash leaves of a write has one of these. */
const TEMPORARY = /^\.[0-9a-f]{24}\.tmp$/;
const HAS_PROC = existsSync('/proc/self/fd');

/** What each errno means to whoever installs or loads a capsule; everything else is `io_error`. */
const CODES: Readonly<Record<string, FaultCode>> = {
  ENOENT: 'not_found',
  ELOOP: 'escapes_root',
  ENOTDIR: 'not_a_directory',
  EISDIR: 'is_a_directory',
  ENOSPC: 'no_space',
  EDQUOT: 'no_space',
};

/**
 * A directory that is open, and everything in it reached through its handle: a component that is swapped for a
 * symbolic link between two steps is refused instead of followed, and a directory that is renamed away stays the one
 * that was opened. Names are single components. Where `/proc` is missing, entries are reached by path, each opened
 * with O_NOFOLLOW and compared with what stands at the path afterwards; a swap inside that window goes unseen.
 */
export class HeldDirectory {
  readonly #handle: FileHandle;
  readonly #path: string;
  /** For messages: never a host path. */
  readonly label: string;

  private constructor(handle: FileHandle, path: string, label: string) {
    this.#handle = handle;
    this.#path = path;
    this.label = label;
  }

  /** The operator's own path: links in it are followed. */
  static async openRoot(path: string, label: string): Promise<HeldDirectory> {
    const handle = await open(path, O_RDONLY | O_DIRECTORY).catch((thrown: unknown) => refuse(thrown, label));
    return new HeldDirectory(handle, path, label);
  }

  /** @throws Fault `not_found`; `escapes_root` for a symbolic link; `not_a_directory`. With `create`, mode 0700. */
  async openDirectory(name: string, options: { create: boolean } = { create: false }): Promise<HeldDirectory> {
    const path = this.#entry(name);
    const label = `${this.label}/${name}`;
    if (options.create) {
      await mkdir(path, { mode: 0o700 }).catch((thrown: unknown) => {
        if (errnoOf(thrown) !== 'EEXIST') refuse(thrown, label);
      });
    }
    const handle = await open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW).catch(async (thrown: unknown) =>
      refuse(thrown, label, await isLink(path)),
    );
    const child = new HeldDirectory(handle, join(this.#path, name), label);
    await this.#requireUnmoved(handle, path, child.label).catch(async (thrown: unknown) => {
      await handle.close();
      throw thrown;
    });
    return child;
  }

  /** Names of all entries, sorted. */
  async list(): Promise<string[]> {
    const path = HAS_PROC ? `/proc/self/fd/${this.#handle.fd}` : this.#path;
    return (await readdir(path).catch((thrown: unknown) => refuse(thrown, this.label))).sort();
  }

  /**
   * A whole regular file.
   * @throws Fault `not_found`; `escapes_root` for a symbolic link; `too_large`; `io_error` for anything not a file;
   * with `privateOnly`, `bad_home` for one that others may read or write.
   */
  async readFile(
    name: string,
    bytesMax: number,
    options: { privateOnly: boolean } = { privateOnly: false },
  ): Promise<Buffer> {
    const path = this.#entry(name);
    const label = `${this.label}/${name}`;
    // O_NONBLOCK: opening a fifo that someone put here must fail below, not wait for a writer.
    const handle = await open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK).catch(async (thrown: unknown) =>
      refuse(thrown, label, await isLink(path)),
    );
    try {
      const stat = await handle.stat();
      if (!stat.isFile()) throw new Fault('io_error', `${label} is not a regular file`, { field: label });
      if (options.privateOnly && (stat.mode & 0o077) !== 0)
        throw new Fault('bad_home', `${label} is open to others; make it private: chmod 600`, { field: label });
      if (stat.size > bytesMax) throw tooLarge(label, stat.size, bytesMax);
      await this.#requireUnmoved(handle, path, label);
      return await readExactly(handle, stat.size);
    } catch (thrown) {
      return refuse(thrown, label);
    } finally {
      await handle.close();
    }
  }

  /** Replaces or creates `name` as a whole, mode 0600: after a crash there is the old content or the new. */
  async writeFileAtomic(name: string, bytes: Uint8Array): Promise<void> {
    const temporary = `.${randomBytes(12).toString('hex')}.tmp`;
    const label = `${this.label}/${name}`;
    try {
      const handle = await open(this.#entry(temporary), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
      try {
        await handle.writeFile(bytes);
        await handle.sync();
      } finally {
        await handle.close();
      }
      await rename(this.#entry(temporary), this.#entry(name));
      await this.#handle.sync();
    } catch (thrown) {
      await unlink(this.#entry(temporary)).catch((again: unknown) => {
        if (errnoOf(again) !== 'ENOENT') refuse(again, label);
      });
      refuse(thrown, label);
    }
  }

  /** Size of a regular file in bytes. @throws Fault as `readFile` */
  async sizeOf(name: string): Promise<number> {
    const label = `${this.label}/${name}`;
    const stat = await lstat(this.#entry(name)).catch((thrown: unknown) => refuse(thrown, label));
    if (!stat.isFile()) throw new Fault('io_error', `${label} is not a regular file`, { field: label });
    return stat.size;
  }

  /** Another name for an entry of this directory; what has that name already must be a file. Durable. */
  async rename(from: string, to: string): Promise<void> {
    await rename(this.#entry(from), this.#entry(to)).catch((thrown: unknown) =>
      refuse(thrown, `${this.label}/${from}`),
    );
    await this.#handle.sync();
  }

  /** Removes an entry; a directory with all that is in it, links not followed. One that is not there is no error. Durable. */
  async remove(name: string): Promise<void> {
    await rm(this.#entry(name), { recursive: true, force: true }).catch((thrown: unknown) =>
      refuse(thrown, `${this.label}/${name}`),
    );
    await this.#handle.sync();
  }

  /** Removes what writes that were cut off left. Nobody may write here meanwhile. @returns the names of all other entries */
  async sweep(): Promise<string[]> {
    const names = await this.list();
    for (const name of names.filter((one) => TEMPORARY.test(one))) await this.remove(name);
    return names.filter((one) => !TEMPORARY.test(one));
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }

  #entry(name: string): string {
    if (name === '' || name === '.' || name === '..' || /[/\0]/.test(name)) {
      throw new Fault('escapes_root', `${this.label}: an entry must be a single name`, { field: this.label });
    }
    return HAS_PROC ? `/proc/self/fd/${this.#handle.fd}/${name}` : join(this.#path, name);
  }

  async #requireUnmoved(handle: FileHandle, path: string, label: string): Promise<void> {
    if (HAS_PROC) return;
    const [opened, standing] = [await handle.stat(), await lstat(path)];
    if (opened.ino !== standing.ino || opened.dev !== standing.dev) {
      throw new Fault('escapes_root', `${label} changed while it was opened`, { field: label });
    }
  }
}

async function readExactly(handle: FileHandle, size: number): Promise<Buffer> {
  // Not from the shared pool: the bytes are handed to another thread without a copy.
  const bytes = Buffer.allocUnsafeSlow(size);
  let filled = 0;
  while (filled < size) {
    const { bytesRead } = await handle.read(bytes, filled, size - filled, filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return bytes.subarray(0, filled);
}

function tooLarge(label: string, size: number, bytesMax: number): Fault {
  return new Fault('too_large', `${label}: ${size} bytes, at most ${bytesMax} are accepted`, { field: label });
}

async function isLink(path: string): Promise<boolean> {
  const stat = await lstat(path).catch(() => null);
  return stat?.isSymbolicLink() === true;
}

function errnoOf(thrown: unknown): string {
  return thrown instanceof Error && 'code' in thrown ? String(thrown.code) : '';
}

/** Errors of the machine as Faults that name the entry, not its place on the host. */
function refuse(thrown: unknown, label: string, link = false): never {
  if (thrown instanceof Fault) throw thrown;
  const errno = errnoOf(thrown);
  // O_DIRECTORY | O_NOFOLLOW on a link answers ENOTDIR on Linux: tell what is really there.
  const code: FaultCode = link ? 'escapes_root' : (CODES[errno] ?? 'io_error');
  const reason = link ? 'is a symbolic link, which is never followed here' : `${errno || 'failed'}`;
  throw new Fault(code, `${label}: ${reason}`, { field: label, cause: thrown });
}
