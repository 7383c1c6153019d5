import { KeyedLock } from '../keyed-lock.js';
import { writeAll } from './content.js';
import { EntryError, errnoOf } from './errno-fault.js';
import type { HandleScope } from './handle-scope.js';
import type { HeldEntry } from './held-dir.js';
import type { PathGuard } from './layer-walk.js';
import { LayeredMount, NEW_DIR_MODE_MASK, NEW_FILE_MODE_MASK, permissionsOf } from './layered-mount.js';
import { type ByteQuota, ENTRY_BYTES } from './quota.js';

/**
 * Keyed by quota, that is by principal. Two sessions share a home, and the tmp root lies inside the home root: without
 * a common lock two writes could replace the same file and both give its old size back, a way to store without limit.
 */
const writeLock = new KeyedLock();

/**
 * Names of half-written files. The number is that of a write in progress in this process, and a home has one
 * supervisor, so what a killed one left behind is replaced by the next write in that directory.
 */
const TEMP_PREFIX = '.astrid-tmp-';
const TEMP_NAME = /^\.astrid-tmp-\d+$/;
const tempSlots = new Set<number>();

function takeTempSlot(): number {
  let slot = 0;
  while (tempSlots.has(slot)) slot += 1;
  tempSlots.add(slot);
  return slot;
}

/**
 * A directory that guests read and write directly: home:// and tmp://. A file is replaced by a rename in its own held
 * directory, so a reader, or a crash, meets the old content or the new one and nothing between.
 */
export class DirectMount extends LayeredMount {
  readonly #root: HeldEntry;
  readonly #quota: ByteQuota;

  /** Takes over `root` and closes it in `close`. */
  constructor(scheme: 'home' | 'tmp', root: HeldEntry, quota: ByteQuota, forbidden: ReadonlySet<string>) {
    super(scheme, { upper: null, lower: root }, forbidden);
    this.#root = root;
    this.#quota = quota;
  }

  async close(): Promise<void> {
    await this.gate.close();
    this.#root.close();
  }

  async writeFile(segments: readonly string[], content: Uint8Array, guard?: PathGuard): Promise<void> {
    await this.#change(segments, async (scope) => {
      this.checkContent(content);
      const { dirs, rest, found } = await this.walk(scope, segments, true, guard);
      const [name, child] = rest;
      if (name === undefined) throw new EntryError('is_a_directory', 'is a directory');
      if (child !== undefined || dirs.lower === null) {
        throw new EntryError('not_found', 'its directory does not exist');
      }
      this.#checkName(name);
      const old = found.lower;
      if (old !== null) this.checkRegular(old);
      const mode = old === null ? permissionsOf(dirs.lower) & NEW_FILE_MODE_MASK : permissionsOf(old);
      // A file with another name elsewhere keeps its bytes there when this name is replaced.
      const oldBytes = old === null || old.stat.nlink > 1n ? 0 : Number(old.stat.size);
      const taken = content.length + (old === null ? ENTRY_BYTES : 0);
      this.#quota.take(taken);
      try {
        await replaceFile(dirs.lower, name, content, mode);
      } catch (error) {
        this.#quota.give(taken);
        throw error;
      }
      this.#quota.give(oldBytes);
    });
  }

  async mkdir(segments: readonly string[], guard?: PathGuard): Promise<void> {
    await this.#change(segments, async (scope) => {
      const { dirs, rest, found } = await this.walk(scope, segments, true, guard);
      if (segments.length === 0) throw new EntryError('invalid_argument', 'is the root, which exists already');
      if (found.lower?.kind === 'directory') return;
      if (found.lower !== null) throw new EntryError('already_exists', 'exists already and is not a directory');
      let directory = dirs.lower;
      for (const name of rest) {
        if (directory === null) throw new EntryError('not_found', 'its directory does not exist');
        this.#checkName(name);
        await this.#makeDir(directory, name);
        directory = scope.own(await directory.lookup(name));
      }
    });
  }

  async unlink(segments: readonly string[], guard?: PathGuard): Promise<void> {
    await this.#change(segments, async (scope) => {
      const { dirs, rest, found } = await this.walk(scope, segments, false, guard);
      const [name] = rest;
      if (name === undefined) throw new EntryError('invalid_argument', 'is the root, which cannot be removed');
      const entry = found.lower;
      if (entry === null || dirs.lower === null) throw new EntryError('not_found', 'does not exist');
      if (entry.kind === 'directory') {
        await sweepTemps(entry);
        await dirs.lower.removeDir(name);
      } else {
        await dirs.lower.removeFile(name);
      }
      const freed = entry.kind === 'file' && entry.stat.nlink === 1n ? Number(entry.stat.size) : 0;
      this.#quota.give(freed + ENTRY_BYTES);
    });
  }

  protected override hidesName(name: string): boolean {
    return TEMP_NAME.test(name);
  }

  /** One change at a time for everything that counts against this quota, whichever session makes it. */
  #change(segments: readonly string[], action: (scope: HandleScope) => Promise<void>): Promise<void> {
    return this.gate.exclusive(() => writeLock.run(this.#quota, () => this.guarded(segments, action)));
  }

  #checkName(name: string): void {
    if (TEMP_NAME.test(name)) throw new EntryError('invalid_argument', `names with ${TEMP_PREFIX} are reserved`);
  }

  async #makeDir(directory: HeldEntry, name: string): Promise<void> {
    this.#quota.take(ENTRY_BYTES);
    try {
      await directory.makeDir(name, permissionsOf(directory) & NEW_DIR_MODE_MASK);
    } catch (error) {
      this.#quota.give(ENTRY_BYTES);
      throw error;
    }
  }
}

async function replaceFile(directory: HeldEntry, name: string, content: Uint8Array, mode: number): Promise<void> {
  const slot = takeTempSlot();
  const temp = `${TEMP_PREFIX}${slot}`;
  try {
    await removeIfThere(directory, temp);
    const file = await directory.createFile(temp, 0o600);
    try {
      await writeAll(file, content);
      await file.chmod(mode);
    } finally {
      await file.close();
    }
    await directory.moveTo(temp, directory, name);
  } catch (error) {
    await removeIfThere(directory, temp);
    throw error;
  } finally {
    tempSlots.delete(slot);
  }
}

async function sweepTemps(directory: HeldEntry): Promise<void> {
  for (const row of await directory.list()) {
    const slot = TEMP_NAME.test(row.name) ? Number(row.name.slice(TEMP_PREFIX.length)) : null;
    // Another mount can be writing in here; then the directory is not empty, and its removal will say so.
    if (slot !== null && !tempSlots.has(slot)) await removeIfThere(directory, row.name);
  }
}

async function removeIfThere(directory: HeldEntry, name: string): Promise<void> {
  try {
    await directory.removeFile(name);
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error;
  }
}
