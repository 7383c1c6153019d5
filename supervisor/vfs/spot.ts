import type { HandleScope } from './handle-scope.js';
import type { HeldEntry } from './held-dir.js';
import type { Overlay } from './overlay.js';

/** One name of the merged view, with what each layer holds there: whiteouts and hidden entries included. */
export interface Spot {
  readonly at: readonly string[];
  readonly name: string;
  readonly upperDir: HeldEntry | null;
  /** Null where the lower directory is missing or hidden. */
  readonly lowerDir: HeldEntry | null;
  readonly entry: HeldEntry | null;
  readonly below: HeldEntry | null;
}

/** Looks a path up without following anything. Null when its parent is no directory of the view, or is the system's own. */
export async function spotAt(scope: HandleScope, overlay: Overlay, segments: readonly string[]): Promise<Spot | null> {
  const at = segments.slice(0, -1);
  const name = segments.at(-1) ?? '';
  let upperDir: HeldEntry | null = overlay.upper.root;
  let lowerDir: HeldEntry | null = overlay.lower;
  for (const step of at) {
    const upper: HeldEntry | null = upperDir === null ? null : scope.own(await upperDir.lookup(step));
    const lower: HeldEntry | null = lowerDir === null ? null : scope.own(await lowerDir.lookup(step));
    scope.drop(upperDir);
    scope.drop(lowerDir);
    if (upper !== null && upper.kind !== 'directory') return null;
    if (lower !== null && overlay.forbidden.has(lower.identity)) return null;
    upperDir = upper;
    lowerDir = lower?.kind === 'directory' ? lower : null;
    if (upperDir === null && lowerDir === null) return null;
  }
  const entry = upperDir === null ? null : scope.own(await upperDir.lookup(name));
  const below = lowerDir === null ? null : scope.own(await lowerDir.lookup(name));
  if (below !== null && overlay.forbidden.has(below.identity)) return null;
  return { at, name, upperDir, lowerDir, entry, below };
}

/** What a guest sees there; null for nothing. */
export function shownAt({ entry, below }: Spot): HeldEntry | null {
  if (entry !== null) return entry.kind === 'whiteout' ? null : entry;
  return below?.kind === 'whiteout' ? null : below;
}

/** Names that the view shows in a directory; none when it is no directory. */
export async function namesAt(scope: HandleScope, overlay: Overlay, segments: readonly string[]): Promise<string[]> {
  const spot = await spotAt(scope, overlay, segments);
  if (spot === null || shownAt(spot)?.kind !== 'directory') return [];
  const hidden = new Set<string>();
  const names = new Set<string>();
  const upper = spot.entry?.kind === 'directory' ? await spot.entry.list() : [];
  for (const row of upper) (row.kind === 'whiteout' ? hidden : names).add(row.name);
  const lower = spot.below?.kind === 'directory' ? await spot.below.list() : [];
  for (const row of lower) if (row.kind !== 'whiteout' && !hidden.has(row.name)) names.add(row.name);
  return [...names].sort();
}
