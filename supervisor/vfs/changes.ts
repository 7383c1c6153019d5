import type { DiffRow } from '../../abi/control.js';
import { Fault } from '../../abi/errno.js';
import { LIMITS } from '../../abi/limits.js';
import type { EntryKind, HeldEntry } from './held-dir.js';
import { walkPlain } from './layer-walk.js';
import type { Overlay } from './overlay.js';
import { parseGuestPath, startsWithSegments } from './path.js';

/**
 * One difference between the merged view and the workspace. `upper` null: the path itself is not in the upper layer,
 * it lies in a lower directory that a whiteout or a file hides. `unchanged`: an entry of the upper layer that makes no
 * difference (a copied-up parent, a whiteout over nothing); commit and rollback clear it away, nobody is told.
 */
export interface Change {
  readonly segments: readonly string[];
  readonly kind: DiffRow['kind'] | 'unchanged';
  readonly upper: EntryKind | null;
  readonly lower: EntryKind | null;
}

/** Which changes are meant: all, or those at or below one of the paths. Throws `invalid_argument` for other roots. */
export function parseFilter(paths: readonly string[] | undefined): (segments: readonly string[]) => boolean {
  if (paths === undefined) return () => true;
  const wanted = paths.map((text) => {
    const path = parseGuestPath(text);
    if (path.scheme === 'cwd') return path.segments;
    throw new Fault('invalid_argument', `paths: expected paths of the workspace, not ${path.display}`, {
      field: 'paths',
    });
  });
  return (segments) => wanted.some((prefix) => startsWithSegments(segments, prefix));
}

/**
 * All changes, in an order in which they can be committed: what a deleted directory held before the directory itself,
 * and a new directory before what is in it. Directories are walked one at a time from the root, so that the number of
 * handles does not grow with the depth.
 */
export async function listChanges(overlay: Overlay): Promise<Change[]> {
  const changes: Change[] = [];
  await listUpper(overlay, [], changes);
  return changes;
}

async function listUpper(overlay: Overlay, at: readonly string[], changes: Change[]): Promise<void> {
  const rows = await overlay.look(at, async (scope) => {
    const upper = await walkPlain(scope, overlay.upper.root, at, overlay.forbidden);
    // Gone since its parent was listed: a change that is no more.
    if (upper === null) return [];
    const lower = await walkPlain(scope, overlay.lower, at, overlay.forbidden);
    const found: { name: string; upper: EntryKind; lower: EntryKind | null }[] = [];
    for (const row of await upper.list()) {
      found.push({ name: row.name, upper: row.kind, lower: await kindAt(lower, row.name) });
    }
    return found.sort(byName);
  });
  for (const row of rows) {
    const segments = [...at, row.name];
    if (row.upper !== 'directory' && row.lower === 'directory') await listHidden(overlay, segments, changes);
    add(changes, { segments, kind: kindOfChange(row.upper, row.lower), upper: row.upper, lower: row.lower });
    if (row.upper === 'directory') await listUpper(overlay, segments, changes);
  }
}

/** What a lower directory holds that the merged view no longer shows, deepest first. */
async function listHidden(overlay: Overlay, at: readonly string[], changes: Change[]): Promise<void> {
  const rows = await overlay.look(at, async (scope) => {
    const lower = await walkPlain(scope, overlay.lower, at, overlay.forbidden);
    return ((await lower?.list()) ?? []).sort(byName);
  });
  for (const row of rows) {
    const segments = [...at, row.name];
    if (row.kind === 'directory') await listHidden(overlay, segments, changes);
    add(changes, { segments, kind: 'deleted', upper: null, lower: row.kind });
  }
}

function add(changes: Change[], change: Change): void {
  if (changes.length === LIMITS.overlayChangesMax) {
    throw new Fault(
      'too_large',
      `the overlay holds more than ${LIMITS.overlayChangesMax} changes; name the paths you mean`,
    );
  }
  changes.push(change);
}

function kindOfChange(upper: EntryKind, lower: EntryKind | null): Change['kind'] {
  if (upper === 'directory') return lower === 'directory' ? 'unchanged' : 'directory';
  if (upper === 'whiteout') return lower === null ? 'unchanged' : 'deleted';
  return lower === null ? 'added' : 'modified';
}

async function kindAt(directory: HeldEntry | null, name: string): Promise<EntryKind | null> {
  const entry = (await directory?.lookup(name)) ?? null;
  entry?.close();
  return entry?.kind ?? null;
}

function byName(a: { name: string }, b: { name: string }): number {
  return a.name < b.name ? -1 : 1;
}
