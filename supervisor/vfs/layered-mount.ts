import { Fault } from '../../abi/errno.js';
import { LIMITS } from '../../abi/limits.js';
import { readContent } from './content.js';
import { EntryError, faultOf } from './errno-fault.js';
import { type HandleScope, withHandles } from './handle-scope.js';
import type { HeldEntry } from './held-dir.js';
import { entryOf, isDirectory, type LayerPair, type PathGuard, type Place, walkLayers } from './layer-walk.js';
import type { FileStat, Mount } from './mount.js';
import { OperationGate } from './operation-gate.js';
import { type GuestPath, guestPathOf, type PathScheme } from './path.js';

/** A walk holds at most four handles at a time, and a read opens one file. */
const HANDLES_PER_READ = 5;
const READERS_MAX = Math.floor(LIMITS.openOverlayFilesMax / HANDLES_PER_READ);

/** Failures of `exists` that mean "not there"; all others (escape, refusal, closing) are thrown. */
const MEANS_ABSENT: ReadonlySet<string> = new Set([
  'not_found',
  'not_a_directory',
  'invalid_argument',
  'not_supported',
  'io_error',
]);

/** Mode bits of a new entry: its directory's, without the right of everyone to write. */
export const NEW_FILE_MODE_MASK = 0o664;
export const NEW_DIR_MODE_MASK = 0o775;

/** Permission bits, without set-user-id and set-group-id: a changed program must not keep them (chmod(2), write(2)). */
export function permissionsOf(entry: HeldEntry): number {
  return Number(entry.stat.mode) & 0o777;
}

/** The reading half of every mount: the same for one layer (home, tmp) and for two (the workspace). */
export abstract class LayeredMount implements Mount {
  readonly scheme: PathScheme;
  readonly roots: LayerPair;
  readonly forbidden: ReadonlySet<string>;
  readonly gate = new OperationGate(READERS_MAX);

  protected constructor(scheme: PathScheme, roots: LayerPair, forbidden: ReadonlySet<string>) {
    this.scheme = scheme;
    this.roots = roots;
    this.forbidden = forbidden;
  }

  abstract writeFile(segments: readonly string[], content: Uint8Array, guard?: PathGuard): Promise<void>;
  abstract mkdir(segments: readonly string[], guard?: PathGuard): Promise<void>;
  abstract unlink(segments: readonly string[], guard?: PathGuard): Promise<void>;

  async exists(segments: readonly string[], guard?: PathGuard): Promise<boolean> {
    let refused: unknown;
    const watched: PathGuard = (resolved) => {
      try {
        guard?.(resolved);
      } catch (error) {
        refused = error;
        throw error;
      }
    };
    try {
      return await this.read(segments, watched, async (place) => entryOf(place) !== null);
    } catch (error) {
      if (refused === undefined && error instanceof Fault && MEANS_ABSENT.has(error.code)) return false;
      throw error;
    }
  }

  stat(segments: readonly string[], guard?: PathGuard): Promise<FileStat> {
    return this.read(segments, guard, async (place) => {
      const { stat, kind } = this.present(place);
      const seconds = stat.mtimeNs / 1_000_000_000n;
      return { size: Number(stat.size), isDir: kind === 'directory', mtime: seconds > 0n ? Number(seconds) : 0 };
    });
  }

  readdir(segments: readonly string[], guard?: PathGuard): Promise<string[]> {
    return this.read(segments, guard, async (place) => {
      this.present(place);
      if (!isDirectory(place.found)) throw new EntryError('not_a_directory', 'is not a directory');
      return (await this.listMerged(place.found)).sort();
    });
  }

  readFile(segments: readonly string[], guard?: PathGuard): Promise<Buffer> {
    return this.read(segments, guard, async (place) => {
      const entry = this.present(place);
      this.checkRegular(entry);
      return readContent(entry, LIMITS.payloadBytesMax);
    });
  }

  realPath(segments: readonly string[]): Promise<GuestPath> {
    return this.read(segments, undefined, async (place) => guestPathOf(this.scheme, [...place.at, ...place.rest]));
  }

  /** The names a guest sees in a directory. */
  protected async listMerged(pair: LayerPair): Promise<string[]> {
    const names = new Set<string>();
    const hidden = new Set<string>();
    for (const row of (await pair.upper?.list()) ?? []) (row.kind === 'whiteout' ? hidden : names).add(row.name);
    for (const row of (await pair.lower?.list()) ?? []) {
      if (row.kind !== 'whiteout' && !hidden.has(row.name)) names.add(row.name);
    }
    return [...names].filter((name) => !this.hidesName(name));
  }

  protected hidesName(_name: string): boolean {
    return false;
  }

  protected walk(
    scope: HandleScope,
    segments: readonly string[],
    followLast: boolean,
    guard: PathGuard | undefined,
  ): Promise<Place> {
    return walkLayers(scope, this.roots, segments, {
      scheme: this.scheme,
      forbidden: this.forbidden,
      followLast,
      guard,
    });
  }

  protected read<T>(
    segments: readonly string[],
    guard: PathGuard | undefined,
    action: (place: Place) => Promise<T>,
  ): Promise<T> {
    return this.gate.shared(() =>
      this.guarded(segments, async (scope) => action(await this.walk(scope, segments, true, guard))),
    );
  }

  /** Runs an operation, closes what it opened, and turns whatever it throws into a Fault about the guest's path. */
  protected async guarded<T>(segments: readonly string[], action: (scope: HandleScope) => Promise<T>): Promise<T> {
    try {
      return await withHandles(action);
    } catch (error) {
      throw faultOf(error, guestPathOf(this.scheme, segments).display);
    }
  }

  protected present(place: Place): HeldEntry {
    const entry = entryOf(place);
    if (entry === null) throw new EntryError('not_found', 'does not exist');
    return entry;
  }

  protected checkRegular(entry: HeldEntry): void {
    if (entry.kind === 'directory') throw new EntryError('is_a_directory', 'is a directory');
    if (entry.kind !== 'file') {
      throw new EntryError('not_supported', 'is a device, pipe or socket, which is never opened');
    }
  }

  protected checkContent(content: Uint8Array): void {
    if (content.length > LIMITS.payloadBytesMax) {
      throw new EntryError('too_large', `content is larger than ${LIMITS.payloadBytesMax} bytes`);
    }
  }
}
