import { Fault } from '../../abi/errno.js';
import { identify } from './base-identity.js';
import type { BaseRecords } from './base-records.js';
import { writeAll } from './content.js';
import { EntryError } from './errno-fault.js';
import { type HandleScope, withHandles } from './handle-scope.js';
import type { HeldEntry } from './held-dir.js';
import { walkPlain } from './layer-walk.js';
import { NEW_DIR_MODE_MASK, permissionsOf } from './layered-mount.js';
import { type ByteQuota, contentBytes, ENTRY_BYTES } from './quota.js';
import type { Whiteouts } from './whiteout.js';

/** Entries of ours in the work directory. The kernel keeps its own ones there while the overlay is mounted. */
const WORK_PREFIX = 'astrid-';

/** The unit of st_blocks (stat(2)). */
const BLOCK_BYTES = 512n;
const SLACK_BYTES = 8192n;

/** A directory that surely is in the upper layer, and its counterpart below, if there is one. */
export interface UpperDir {
  readonly upper: HeldEntry;
  readonly lower: HeldEntry | null;
}

/** An entry that changes its layer and keeps its name. `old`: what the upper layer has there. */
export interface TakenEntry {
  readonly directory: HeldEntry;
  readonly name: string;
  readonly old: HeldEntry | null;
  readonly from: HeldEntry;
  readonly wanted: HeldEntry;
}

/**
 * The changes of one session on disk, in the format of Linux's overlayfs. Everything is made ready in the work
 * directory, which lies on the same file system, and appears by one rename or link. The one case that takes two (a
 * directory that trades places with a whiteout) is announced in the records, and `recover` finishes it.
 */
export class UpperLayer {
  readonly root: HeldEntry;
  readonly records: BaseRecords;
  readonly #work: HeldEntry;
  readonly #whiteouts: Whiteouts;
  readonly #quota: ByteQuota;
  #made = 0;

  constructor(root: HeldEntry, work: HeldEntry, records: BaseRecords, whiteouts: Whiteouts, quota: ByteQuota) {
    this.root = root;
    this.records = records;
    this.#work = work;
    this.#whiteouts = whiteouts;
    this.#quota = quota;
  }

  async close(): Promise<void> {
    await this.records.close();
    this.#work.close();
    this.root.close();
  }

  /** Fails where deletions cannot be marked, before anything is changed. */
  prepareWhiteout(): Promise<void> {
    return this.#whiteouts.prepare();
  }

  /** The upper directory of `at`, which is a directory of the merged view. Missing ones get the lower one's mode. */
  async copyUpDirs(scope: HandleScope, lowerRoot: HeldEntry, at: readonly string[]): Promise<HeldEntry> {
    let upper = this.root;
    let lower: HeldEntry | null = lowerRoot;
    for (const name of at) {
      const below: HeldEntry | null = lower === null ? null : scope.own(await lower.lookup(name));
      let next = scope.own(await upper.lookup(name));
      if (next === null) {
        // It was a directory a moment ago; somebody changes the workspace under our feet.
        if (below?.kind !== 'directory')
          throw new EntryError('not_a_directory', 'goes through a directory that is gone');
        next = await this.#makeDir(scope, upper, name, permissionsOf(below));
      }
      scope.drop(upper);
      scope.drop(lower);
      upper = next;
      lower = below?.kind === 'directory' ? below : null;
    }
    scope.drop(lower);
    return upper;
  }

  /** Writes a file under a work name and moves it into place, over a file, a whiteout, or nothing. */
  async putFile(directory: HeldEntry, name: string, old: HeldEntry | null, content: Uint8Array, mode: number) {
    const taken = content.length + (old === null ? ENTRY_BYTES : 0);
    const temp = this.#workName();
    await this.#charged(taken, async () => {
      try {
        const file = await this.#work.createFile(temp, 0o600);
        try {
          await writeAll(file, content);
          await file.chmod(mode);
        } finally {
          await file.close();
        }
        await this.#work.moveTo(temp, directory, name);
      } catch (error) {
        await removeIfThere(this.#work, temp);
        throw error;
      }
    });
    if (old !== null) this.#quota.give(contentBytes(old));
  }

  /** Takes over a file or link that a command made in a layer of its own on the same file system. */
  async takeIn(taken: TakenEntry): Promise<void> {
    const { directory, name, old, from, wanted } = taken;
    await this.#charged(contentBytes(wanted) + (old === null ? ENTRY_BYTES : 0), async () => {
      if (holdsMore(wanted)) {
        await wanted.setMode(0o600);
        await wanted.trim();
      }
      if (wanted.kind === 'file') await wanted.setMode((permissionsOf(wanted) & NEW_DIR_MODE_MASK) | 0o400);
      await from.moveTo(name, directory, name);
    });
    if (old !== null) this.#quota.give(contentBytes(old));
  }

  /**
   * Makes a directory where the merged view has nothing. Over a deleted directory of the lower layer it gets a whiteout
   * for each entry below: an "opaque" mark is an extended attribute, which Node cannot set, and without either the old
   * entries would come back.
   */
  async putDir(scope: HandleScope, parent: UpperDir, path: string, name: string): Promise<UpperDir> {
    const old = scope.own(await parent.upper.lookup(name));
    const below = parent.lower === null ? null : scope.own(await parent.lower.lookup(name));
    await this.recordFirst(path, old, parent.lower, name, below);
    const mode = permissionsOf(parent.lower ?? parent.upper) & NEW_DIR_MODE_MASK;
    if (old === null) return { upper: await this.#makeDir(scope, parent.upper, name, mode), lower: null };
    if (old.kind !== 'whiteout') throw new Fault('internal', 'a directory was to replace an entry that is not deleted');
    const temp = this.#workName();
    const made = await this.#makeDir(scope, this.#work, temp, mode);
    const lower = below?.kind === 'directory' ? below : null;
    try {
      if (lower !== null) await this.#hideAll(made, lower, path);
      await this.records.hide(path);
    } catch (error) {
      this.#quota.give(ENTRY_BYTES * (1 + (await removeFlat(this.#work, temp))));
      throw error;
    }
    await parent.upper.removeFile(name);
    this.#quota.give(ENTRY_BYTES);
    await this.#work.moveTo(temp, parent.upper, name);
    await this.records.shown(path);
    return { upper: made, lower };
  }

  /** Marks every entry of a lower directory as deleted; those added since the deletion were never seen: base null. */
  async #hideAll(made: HeldEntry, lower: HeldEntry, path: string): Promise<void> {
    for (const { name } of await lower.list()) {
      if (this.records.get(`${path}/${name}`) === undefined) await this.records.record(`${path}/${name}`, null);
      await this.#charged(ENTRY_BYTES, () => this.#whiteouts.link(made, name));
    }
  }

  /** Removes what the merged view shows at `name`; `below`: what the lower layer has there, hidden or not. */
  async hide(directory: HeldEntry, path: string, name: string, old: HeldEntry | null, below: boolean): Promise<void> {
    if (old === null) {
      await this.#charged(ENTRY_BYTES, () => this.#whiteouts.link(directory, name));
    } else if (old.kind === 'directory') {
      await this.#hideDir(directory, path, name, below);
    } else {
      if (below) {
        const temp = this.#workName();
        await this.#whiteouts.link(this.#work, temp);
        await this.#work.moveTo(temp, directory, name);
      } else {
        await directory.removeFile(name);
        await this.records.forget(path);
      }
      this.#quota.give(contentBytes(old) + (below ? 0 : ENTRY_BYTES));
    }
  }

  /** The directory holds nothing but whiteouts; it leaves as a whole, so that none of them is lifted on its own. */
  async #hideDir(directory: HeldEntry, path: string, name: string, below: boolean): Promise<void> {
    const gone = this.#workName();
    if (below) {
      const whiteout = this.#workName();
      await this.#whiteouts.link(this.#work, whiteout);
      await this.records.hide(path);
      await directory.moveTo(name, this.#work, gone);
      await this.#work.moveTo(whiteout, directory, name);
      await this.records.shown(path);
    } else {
      await directory.moveTo(name, this.#work, gone);
      await this.records.forget(path);
    }
    const removed = await removeFlat(this.#work, gone);
    this.#quota.give(ENTRY_BYTES * (removed + (below ? 0 : 1)));
  }

  /** Removes one entry of the upper layer, whatever shows up below it. For commit and rollback. */
  async drop(directory: HeldEntry, name: string, entry: HeldEntry): Promise<void> {
    if (entry.kind === 'directory') await directory.removeDir(name);
    else await directory.removeFile(name);
    this.#quota.give(ENTRY_BYTES + contentBytes(entry));
  }

  /**
   * Takes down what the path was below, if this is its first change. A whiteout without a record stands for "nothing
   * there", as the guest saw it; a file without one was put there by somebody else: unknown, and commit will say so.
   */
  async recordFirst(
    path: string,
    old: HeldEntry | null,
    lowerDir: HeldEntry | null,
    name: string,
    below: HeldEntry | null,
  ): Promise<void> {
    const known = this.records.get(path) !== undefined;
    if (old !== null && (known || old.kind === 'file')) return;
    if (old?.kind === 'whiteout' || below === null || lowerDir === null) await this.records.record(path, null);
    else await this.records.record(path, await identify(lowerDir, name, below));
  }

  /** Finishes what a killed process left half done. Before any other use. */
  async recover(lowerRoot: HeldEntry, forbidden: ReadonlySet<string>): Promise<void> {
    for (const path of this.records.pendingHides) {
      await withHandles((scope) => this.#hideAgain(scope, lowerRoot, path, forbidden));
      await this.records.shown(path);
    }
    for (const row of await this.#work.list()) {
      if (!row.name.startsWith(WORK_PREFIX)) continue;
      if (row.kind === 'directory') await removeFlat(this.#work, row.name);
      else await this.#work.removeFile(row.name);
    }
  }

  async #hideAgain(scope: HandleScope, lowerRoot: HeldEntry, path: string, forbidden: ReadonlySet<string>) {
    const names = path.split('/');
    const name = names.pop() ?? '';
    const upper = await walkPlain(scope, this.root, names, forbidden);
    const lower = await walkPlain(scope, lowerRoot, names, forbidden);
    if (upper === null || lower === null || scope.own(await upper.lookup(name)) !== null) return;
    if (scope.own(await lower.lookup(name)) === null) return;
    await this.#whiteouts.link(upper, name);
    this.#quota.count(ENTRY_BYTES);
  }

  async #makeDir(scope: HandleScope, parent: HeldEntry, name: string, mode: number): Promise<HeldEntry> {
    await this.#charged(ENTRY_BYTES, () => parent.makeDir(name, 0o700));
    const made = scope.own(await parent.lookup(name));
    if (made === null || made.kind !== 'directory')
      throw new Fault('internal', 'a directory vanished when it was made');
    await made.setMode(mode);
    return made;
  }

  async #charged(bytes: number, action: () => Promise<void>): Promise<void> {
    this.#quota.take(bytes);
    try {
      await action();
    } catch (error) {
      this.#quota.give(bytes);
      throw error;
    }
  }

  #workName(): string {
    this.#made += 1;
    return `${WORK_PREFIX}${this.#made}`;
  }
}

/** Whether a file takes much more disk than its size says, which is what it counts: blocks, and a part for what describes them. */
function holdsMore({ kind, stat }: HeldEntry): boolean {
  return kind === 'file' && stat.blocks * BLOCK_BYTES > stat.size + stat.size / 64n + SLACK_BYTES;
}

/** Removes a directory that holds no directories. Returns how many entries it had. */
async function removeFlat(parent: HeldEntry, name: string): Promise<number> {
  return withHandles(async (scope) => {
    const directory = scope.own(await parent.lookup(name));
    if (directory === null) return 0;
    const rows = await directory.list();
    for (const row of rows) await directory.removeFile(row.name);
    await parent.removeDir(name);
    return rows.length;
  });
}

async function removeIfThere(directory: HeldEntry, name: string): Promise<void> {
  await withHandles(async (scope) => {
    if (scope.own(await directory.lookup(name)) !== null) await directory.removeFile(name);
  });
}
