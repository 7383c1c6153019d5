import { LIMITS } from '../../abi/limits.js';
import { EntryError } from './errno-fault.js';
import type { HandleScope } from './handle-scope.js';
import type { HeldEntry } from './held-dir.js';
import { type GuestPath, guestPathOf, type PathScheme } from './path.js';

/** An entry as seen in both layers; null where the layer does not have it, or where the upper one hides it. */
export interface LayerPair {
  readonly upper: HeldEntry | null;
  readonly lower: HeldEntry | null;
}

/** Where a path leads. */
export interface Place {
  /** The deepest directory that exists, without links in it, and its handles. */
  readonly at: readonly string[];
  readonly dirs: LayerPair;
  /** Names below it: none for the root itself, one if its parent exists, more if parents are missing. */
  readonly rest: readonly string[];
  /** What `rest[0]` is; if `rest` has more than one name, it is absent. */
  readonly found: LayerPair;
}

/** Told where a path really leads, links followed, before anything happens there. Refuses by throwing. */
export type PathGuard = (resolved: GuestPath) => void;

export interface WalkRules {
  readonly scheme: PathScheme;
  /** Identities of directories that no path of this mount may enter, however it gets there. */
  readonly forbidden: ReadonlySet<string>;
  readonly followLast: boolean;
  readonly guard: PathGuard | undefined;
}

/** What a path finally names, the layer on top winning; null when there is nothing. */
export function entryOf(place: Place): HeldEntry | null {
  return place.found.upper ?? place.found.lower;
}

export function isDirectory(found: LayerPair): boolean {
  return (found.upper ?? found.lower)?.kind === 'directory';
}

/**
 * Walks a path through both layers at once, one name at a time. A symbolic link of the lower layer is read, not
 * followed by the kernel: its target is put before the names still to go, and the walk starts again at the root. That is
 * what the kernel would do (path_resolution(7)), except that nothing can lead above the root. Absolute targets are refused: what they mean depends on where the root lies.
 *
 * Throws EntryErrors, which the caller completes with the guest's path: `escapes_root`, `not_a_directory`,
 * `invalid_argument` (too many links), `policy_denied` (a forbidden directory), `not_supported` (a link in the upper
 * layer, which we never make); and what the guard throws.
 */
export async function walkLayers(
  scope: HandleScope,
  roots: LayerPair,
  segments: readonly string[],
  rules: WalkRules,
): Promise<Place> {
  let at: string[] = [];
  let dirs = roots;
  let rest = [...segments];
  for (let links = 0; ; ) {
    const name = rest[0];
    if (name === undefined) return arrive({ at, dirs, rest, found: dirs }, rules);
    if (name === '.') {
      rest = rest.slice(1);
      continue;
    }
    if (name === '..') {
      links = countWay(links);
      release(scope, dirs);
      rest = climb(at, 1, rest.slice(1));
      at = [];
      dirs = roots;
      continue;
    }
    const found = await lookBoth(scope, dirs, name, rules.forbidden);
    const entry = found.upper ?? found.lower;
    if (entry?.kind === 'symlink' && (rest.length > 1 || rules.followLast)) {
      links = countWay(links);
      const target = await dirs.lower?.readLink(name);
      release(scope, found);
      if (typeof target !== 'string') continue;
      release(scope, dirs);
      rest = followLink(at, target, rest.slice(1));
      at = [];
      dirs = roots;
      continue;
    }
    if (entry === null && rest.some(isDots)) throw new EntryError('not_found', 'does not exist');
    if (rest.length === 1 || entry === null) return arrive({ at, dirs, rest, found }, rules);
    if (entry.kind !== 'directory') {
      throw new EntryError('not_a_directory', 'goes through something that is not a directory');
    }
    release(scope, dirs);
    dirs = found;
    at = [...at, name];
    rest = rest.slice(1);
  }
}

function arrive(place: Place, rules: WalkRules): Place {
  rules.guard?.(guestPathOf(rules.scheme, [...place.at, ...place.rest]));
  return place;
}

/**
 * What is still to go at a link: `..` at the start of its target is taken back by name, since `at` holds no links. Behind a
 * name it stays, and the walk takes it when it is there: the name can be a link itself, or missing.
 */
function followLink(at: readonly string[], target: string, after: readonly string[]): string[] {
  if (target.startsWith('/')) {
    throw new EntryError('escapes_root', 'goes through a symbolic link with an absolute target');
  }
  const parts = target.split('/');
  const names = parts.filter((name) => name !== '' && name !== '.');
  // `file/` and `file/.` ask for a directory.
  if (names.length > 0 && parts.at(-1) !== names.at(-1)) names.push('.');
  const start = names.findIndex((name) => name !== '..');
  const ups = start === -1 ? names.length : start;
  return climb(at, ups, [...names.slice(ups), ...after]);
}

function climb(at: readonly string[], ups: number, after: readonly string[]): string[] {
  if (ups > at.length) throw new EntryError('escapes_root', 'goes through a symbolic link that leaves the root');
  const rest = [...at.slice(0, at.length - ups), ...after];
  if (rest.length <= LIMITS.pathSegmentsMax) return rest;
  throw new EntryError('invalid_argument', `is deeper than ${LIMITS.pathSegmentsMax} directories`);
}

/** Links, and steps back in their targets: each begins the walk again, so both are bounded together. */
function countWay(links: number): number {
  if (links < LIMITS.pathLinksMax) return links + 1;
  throw new EntryError('invalid_argument', 'goes through too many symbolic links');
}

function isDots(name: string): boolean {
  return name === '.' || name === '..';
}

/** Looks a name up in both layers by overlayfs's rules: the upper entry wins, only directories are merged. */
async function lookBoth(
  scope: HandleScope,
  dirs: LayerPair,
  name: string,
  forbidden: ReadonlySet<string>,
): Promise<LayerPair> {
  const upper = dirs.upper === null ? null : scope.own(await dirs.upper.lookup(name));
  if (upper?.kind === 'whiteout') {
    scope.drop(upper);
    return { upper: null, lower: null };
  }
  if (upper?.kind === 'symlink') {
    throw new EntryError('not_supported', 'is a symbolic link that was made in the overlay');
  }
  if (upper !== null && upper.kind !== 'directory') return { upper, lower: null };
  const lower = dirs.lower === null ? null : scope.own(await dirs.lower.lookup(name));
  if (lower?.kind === 'directory' && forbidden.has(lower.identity)) {
    throw new EntryError('policy_denied', 'belongs to the system and is never served to capsules');
  }
  if (lower !== null && (lower.kind === 'whiteout' || (upper !== null && lower.kind !== 'directory'))) {
    scope.drop(lower);
    return { upper, lower: null };
  }
  return { upper, lower };
}

/**
 * Walks directories of one layer, following nothing. Null when a component is missing or no directory. This is how
 * commit reaches the lower layer: a parent that became a link since copy-up is a conflict, not a way.
 */
export async function walkPlain(
  scope: HandleScope,
  root: HeldEntry,
  segments: readonly string[],
  forbidden: ReadonlySet<string>,
): Promise<HeldEntry | null> {
  let directory = root;
  for (const name of segments) {
    const next = scope.own(await directory.lookup(name));
    scope.drop(directory);
    if (next === null || next.kind !== 'directory' || forbidden.has(next.identity)) {
      scope.drop(next);
      return null;
    }
    directory = next;
  }
  return directory;
}

function release(scope: HandleScope, pair: LayerPair): void {
  scope.drop(pair.upper);
  scope.drop(pair.lower);
}
