import { BaseRecords } from './base-records.js';
import { EntryError } from './errno-fault.js';
import type { HandleScope } from './handle-scope.js';
import { type HeldEntry, openRoot } from './held-dir.js';
import { entryOf, isDirectory, type PathGuard, type Place } from './layer-walk.js';
import { LayeredMount, NEW_FILE_MODE_MASK, permissionsOf } from './layered-mount.js';
import type { ByteQuota } from './quota.js';
import { type UpperDir, UpperLayer } from './upper-layer.js';
import { type MakeNode, Whiteouts } from './whiteout.js';

/** Where the parts of one overlay are. All but `lower` are directories of this session alone, on one file system. */
export interface OverlayDirs {
  readonly lower: string;
  readonly upper: string;
  readonly work: string;
  readonly meta: string;
}

export interface OverlayOptions {
  readonly quota: ByteQuota;
  /** Identities (`HeldEntry.identity`) of directories that are never entered, though they lie in the workspace. */
  readonly forbidden?: ReadonlySet<string>;
  readonly makeNode?: MakeNode;
}

/**
 * The workspace as one session sees it. The lower layer is the real directory, which nothing here writes to; every
 * change is kept in the upper layer until `commitOverlay` or `rollbackOverlay`.
 *
 * Meant for the kernel, too: `mount -t overlay -o lowerdir=…,upperdir=…,workdir=…` shows the same view, as long as
 * nobody uses this object meanwhile. Of what the kernel writes there, two things cannot be read back without extended
 * attributes: opaque directories (shown merged) and links (refused).
 *
 * A hard link in the workspace is a regular file like any other, wherever its other names are: reading shows its
 * content, and since a commit replaces the name and not the content, no other name of it is ever written to.
 */
export class Overlay extends LayeredMount {
  readonly lower: HeldEntry;
  readonly upper: UpperLayer;

  private constructor(lower: HeldEntry, upper: UpperLayer, forbidden: ReadonlySet<string>) {
    super('cwd', { upper: upper.root, lower }, forbidden);
    this.lower = lower;
    this.upper = upper;
  }

  /** Throws `not_found` and `not_supported` as `openRoot` does, `io_error` when the session's records are unreadable. */
  static async open(dirs: OverlayDirs, options: OverlayOptions): Promise<Overlay> {
    const held: HeldEntry[] = [];
    let records: BaseRecords | null = null;
    const hold = async (path: string, field: string): Promise<HeldEntry> => {
      const root = await openRoot(path, field);
      held.push(root);
      return root;
    };
    try {
      const lower = await hold(dirs.lower, 'workspace');
      const upperRoot = await hold(dirs.upper, 'overlay');
      const work = await hold(dirs.work, 'overlay');
      records = await BaseRecords.open(await hold(dirs.meta, 'overlay'));
      const whiteouts = new Whiteouts(work, options.makeNode);
      const upper = new UpperLayer(upperRoot, work, records, whiteouts, options.quota);
      const forbidden = options.forbidden ?? new Set<string>();
      await upper.recover(lower, forbidden);
      // The kernel shows the upper root's mode as that of the whole; the directory around it keeps strangers out.
      await upperRoot.setMode(permissionsOf(lower) | 0o700);
      return new Overlay(lower, upper, forbidden);
    } catch (error) {
      await records?.close();
      for (const root of held) root.close();
      throw error;
    }
  }

  async close(): Promise<void> {
    await this.gate.close();
    await this.upper.close();
    this.lower.close();
  }

  async writeFile(segments: readonly string[], content: Uint8Array, guard?: PathGuard): Promise<void> {
    await this.change(segments, async (scope) => {
      this.checkContent(content);
      const place = await this.walk(scope, segments, true, guard);
      const name = place.rest.at(-1);
      if (name === undefined) throw new EntryError('is_a_directory', 'is a directory');
      const shown = entryOf(place);
      if (shown !== null) this.checkRegular(shown);
      const { dir, at } = await this.#makeParents(scope, place, place.rest.slice(0, -1));
      const old = scope.own(await dir.upper.lookup(name));
      const below = dir.lower === null ? null : scope.own(await dir.lower.lookup(name));
      const mode = shown === null ? permissionsOf(dir.lower ?? dir.upper) & NEW_FILE_MODE_MASK : permissionsOf(shown);
      await this.upper.recordFirst([...at, name].join('/'), old, dir.lower, name, below);
      await this.upper.putFile(dir.upper, name, old, content, mode);
    });
  }

  async mkdir(segments: readonly string[], guard?: PathGuard): Promise<void> {
    await this.change(segments, async (scope) => {
      const place = await this.walk(scope, segments, true, guard);
      if (segments.length === 0) throw new EntryError('invalid_argument', 'is the root, which exists already');
      if (isDirectory(place.found)) return;
      if (entryOf(place) !== null) {
        throw new EntryError('already_exists', 'exists already and is not a directory');
      }
      await this.#makeParents(scope, place, place.rest);
    });
  }

  async unlink(segments: readonly string[], guard?: PathGuard): Promise<void> {
    await this.change(segments, async (scope) => {
      const place = await this.walk(scope, segments, false, guard);
      const [name] = place.rest;
      if (name === undefined) throw new EntryError('invalid_argument', 'is the root, which cannot be removed');
      this.present(place);
      if (isDirectory(place.found) && (await this.listMerged(place.found)).length > 0) {
        throw new EntryError('not_empty', 'is a directory that is not empty');
      }
      const { dirs, at, found } = place;
      const below = dirs.lower === null ? null : scope.own(await dirs.lower.lookup(name));
      if (below !== null) await this.upper.prepareWhiteout();
      const upperDir = dirs.upper ?? (await this.upper.copyUpDirs(scope, this.lower, at));
      const path = [...at, name].join('/');
      await this.upper.recordFirst(path, found.upper, dirs.lower, name, below);
      await this.upper.hide(upperDir, path, name, found.upper, below !== null);
    });
  }

  /** Runs one change alone. Commit and rollback use it, too: one file at a time, so that readers get their turn. */
  change<T>(segments: readonly string[], action: (scope: HandleScope) => Promise<T>): Promise<T> {
    return this.gate.exclusive(() => this.guarded(segments, action));
  }

  /** Runs one look at both layers, together with other readers. */
  look<T>(segments: readonly string[], action: (scope: HandleScope) => Promise<T>): Promise<T> {
    return this.gate.shared(() => this.guarded(segments, action));
  }

  /** Makes sure that `place.at` is in the upper layer, and makes the directories named in `names` below it. */
  async #makeParents(
    scope: HandleScope,
    place: Place,
    names: readonly string[],
  ): Promise<{ dir: UpperDir; at: readonly string[] }> {
    let at = place.at;
    let dir: UpperDir = {
      upper: place.dirs.upper ?? (await this.upper.copyUpDirs(scope, this.lower, at)),
      lower: place.dirs.lower,
    };
    for (const name of names) {
      at = [...at, name];
      const made = await this.upper.putDir(scope, dir, at.join('/'), name);
      scope.drop(dir.upper);
      scope.drop(dir.lower);
      dir = made;
    }
    return { dir, at };
  }
}
