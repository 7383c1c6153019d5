import { LIMITS } from '../../abi/limits.js';
import type { PathRule } from './find-paths.js';
import { type HandleScope, withHandles } from './handle-scope.js';
import type { EntryKind, HeldEntry } from './held-dir.js';
import { walkPlain } from './layer-walk.js';
import { NEW_DIR_MODE_MASK, permissionsOf } from './layered-mount.js';
import type { Overlay } from './overlay.js';
import { guestPathOf } from './path.js';
import { namesAt, type Spot, shownAt, spotAt } from './spot.js';

/** What one command left behind, and what it saw while it ran. */
export interface AdoptSource {
  /** Its own upper layer, as the kernel wrote it. Nobody writes to it any more. */
  readonly layer: HeldEntry;
  /**
   * The kernel's merged view, still mounted: it alone tells which entries a directory hides that was deleted and made again
   * (the mark is an extended attribute, which Node cannot read). Null after a crash: such a directory is then merged.
   */
  readonly merged: HeldEntry | null;
  /** Change time, in nanoseconds, from which on an entry is newer than the command's start. */
  readonly sinceNs: bigint;
  /** Paths that no command may change; null for none. */
  readonly denied: PathRule | null;
}

export interface Adopted {
  /** Entries that are now changes of the session. */
  readonly kept: number;
  /** Paths left as they are: changed by somebody else meanwhile, or nothing that an overlay keeps (a pipe, a socket). */
  readonly skipped: readonly string[];
}

const NOTHING_FORBIDDEN: ReadonlySet<string> = new Set();
const OWNER_ALL = 0o700;

/**
 * Makes what a command wrote part of the session's overlay, as if it had been written through it: with base records, so
 * that diff, commit and rollback treat it like any other change.
 *
 * What the session changed itself since the command started stays as it is. A workspace file that somebody changed
 * meanwhile gets no record, because nobody knows which version the command saw: a commit then reports it as a conflict.
 */
export async function adoptLayer(overlay: Overlay, source: AdoptSource): Promise<Adopted> {
  const adoption = new Adoption(overlay, source);
  await adoption.directory([]);
  return { kept: adoption.kept, skipped: adoption.skipped };
}

class Adoption {
  readonly #overlay: Overlay;
  readonly #source: AdoptSource;
  readonly skipped: string[] = [];
  kept = 0;

  constructor(overlay: Overlay, source: AdoptSource) {
    this.#overlay = overlay;
    this.#source = source;
  }

  /** One entry at a time has the overlay for itself, so that readers get their turn. */
  async directory(at: readonly string[]): Promise<void> {
    const rows = await withHandles(async (scope) => {
      const own = await this.#own(scope, at);
      if (own === null) return [];
      // A command may have locked itself out; we still need to see what is in there.
      if ((permissionsOf(own) & OWNER_ALL) !== OWNER_ALL) await own.setMode(permissionsOf(own) | OWNER_ALL);
      return own.list();
    });
    for (const row of rows.sort((a, b) => (a.name < b.name ? -1 : 1))) {
      const segments = [...at, row.name];
      if (segments.length > LIMITS.pathSegmentsMax || this.#isDenied(segments)) {
        this.#skip(segments);
        continue;
      }
      await this.#overlay.change(segments, () => this.#entry(segments, row.kind));
      if (row.kind === 'directory') await this.directory(segments);
    }
  }

  #own(scope: HandleScope, at: readonly string[]): Promise<HeldEntry | null> {
    return walkPlain(scope, this.#source.layer, at, NOTHING_FORBIDDEN);
  }

  async #entry(segments: readonly string[], kind: EntryKind): Promise<void> {
    if (kind === 'whiteout') await this.#remove(segments);
    else if (kind === 'directory') await this.#takeDir(segments);
    else if (kind === 'special') this.#skip(segments);
    else await this.#takeFile(segments);
  }

  async #takeFile(segments: readonly string[]): Promise<void> {
    if (!(await this.#makeRoom(segments, 'file'))) return this.#skip(segments);
    await withHandles(async (scope) => {
      const spot = await spotAt(scope, this.#overlay, segments);
      const from = await this.#own(scope, segments.slice(0, -1));
      const wanted = from === null ? null : scope.own(await from.lookup(segments.at(-1) ?? ''));
      if (spot === null || from === null || wanted === null) return this.#skip(segments);
      const upperDir = await this.#upperDir(scope, spot);
      await this.#record(spot, segments);
      await this.#overlay.upper.takeIn({ directory: upperDir, name: spot.name, old: spot.entry, from, wanted });
      this.kept += 1;
    });
  }

  async #takeDir(segments: readonly string[]): Promise<void> {
    const shown = await this.#kindAt(segments);
    if (shown === 'directory') return this.#hideUnseen(segments);
    if (!(await this.#makeRoom(segments, 'directory'))) return this.#skip(segments);
    await withHandles(async (scope) => {
      const spot = await spotAt(scope, this.#overlay, segments);
      const own = await this.#own(scope, segments);
      if (spot === null || own === null) return this.#skip(segments);
      const parent = { upper: await this.#upperDir(scope, spot), lower: spot.lowerDir };
      const made = await this.#overlay.upper.putDir(scope, parent, segments.join('/'), spot.name);
      await made.upper.setMode((permissionsOf(own) & NEW_DIR_MODE_MASK) | OWNER_ALL);
      this.kept += 1;
    });
  }

  /** A directory that was deleted and made again hides what is below it: the merged view does not show it. */
  async #hideUnseen(segments: readonly string[]): Promise<void> {
    const { merged } = this.#source;
    if (merged === null) return;
    const hidden = await withHandles(async (scope) => {
      const seen = await walkPlain(scope, merged, segments, NOTHING_FORBIDDEN);
      if (seen === null) return [];
      const names = new Set((await seen.list()).map(({ name }) => name));
      return (await namesAt(scope, this.#overlay, segments)).filter((name) => !names.has(name));
    });
    for (const name of hidden) await this.#remove([...segments, name]);
  }

  /** Whether the name can be taken: what is shown there is of the same sort, or could be removed. */
  async #makeRoom(segments: readonly string[], wanted: 'file' | 'directory'): Promise<boolean> {
    const [shown, newer] = await withHandles(async (scope) => {
      const spot = await spotAt(scope, this.#overlay, segments);
      return spot === null ? [null, true] : [shownAt(spot)?.kind ?? null, this.#isNewer(spot.entry)];
    });
    if (newer) return false;
    if (shown === null || (wanted === 'file' && shown !== 'directory')) return true;
    return this.#remove(segments);
  }

  /** Removes what the view shows, with all that is in it. False when something newer is in there, which stays. */
  async #remove(segments: readonly string[]): Promise<boolean> {
    if (this.#isDenied(segments)) {
      this.#skip(segments);
      return false;
    }
    const names = await withHandles((scope) => namesAt(scope, this.#overlay, segments));
    let empty = true;
    for (const name of names) empty = (await this.#remove([...segments, name])) && empty;
    if (!empty) return false;
    return withHandles(async (scope) => {
      const spot = await spotAt(scope, this.#overlay, segments);
      const shown = spot === null ? null : shownAt(spot);
      if (spot === null || shown === null) return true;
      if (this.#isNewer(shown)) {
        this.#skip(segments);
        return false;
      }
      const { upper } = this.#overlay;
      if (spot.below !== null) await upper.prepareWhiteout();
      const directory = await this.#upperDir(scope, spot);
      await this.#record(spot, segments);
      await upper.hide(directory, segments.join('/'), spot.name, spot.entry, spot.below !== null);
      this.kept += 1;
      return true;
    });
  }

  #isDenied(segments: readonly string[]): boolean {
    return this.#source.denied?.(guestPathOf('cwd', segments)) === true;
  }

  /** Directories are changed by whatever happens in them, and whiteouts share one inode: neither time says anything. */
  #isNewer(entry: HeldEntry | null): boolean {
    if (entry === null || entry.kind === 'directory' || entry.kind === 'whiteout') return false;
    return entry.stat.ctimeNs >= this.#source.sinceNs;
  }

  async #upperDir(scope: HandleScope, spot: Spot): Promise<HeldEntry> {
    return spot.upperDir ?? (await this.#overlay.upper.copyUpDirs(scope, this.#overlay.lower, spot.at));
  }

  /** As `recordFirst`, but never of something newer than what the command can have seen. */
  async #record({ entry, below, lowerDir, name }: Spot, segments: readonly string[]): Promise<void> {
    const { upper } = this.#overlay;
    const path = segments.join('/');
    if (entry?.kind === 'file' || entry?.kind === 'symlink') return;
    if (entry === null && this.#isNewer(below)) return upper.records.forget(path);
    await upper.recordFirst(path, entry, lowerDir, name, below);
  }

  #kindAt(segments: readonly string[]): Promise<EntryKind | null> {
    return withHandles(async (scope) => {
      const spot = await spotAt(scope, this.#overlay, segments);
      return spot === null ? null : (shownAt(spot)?.kind ?? null);
    });
  }

  #skip(segments: readonly string[]): void {
    if (this.skipped.length < LIMITS.overlaySkippedShownMax) this.skipped.push(segments.join('/'));
  }
}
