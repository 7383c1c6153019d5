import { Fault } from '../../abi/errno.js';
import { LIMITS } from '../../abi/limits.js';
import { withHandles } from './handle-scope.js';
import type { HeldEntry } from './held-dir.js';
import type { LayerPair } from './layer-walk.js';
import type { Overlay } from './overlay.js';
import { type GuestPath, guestPathOf } from './path.js';

/** Paths of the workspace that no capsule may touch, by whatever call. */
export type PathRule = (path: GuestPath) => boolean;

export interface FoundPath {
  readonly segments: readonly string[];
  readonly isDirectory: boolean;
}

/**
 * Files and directories of the merged view that a rule holds for; of what lies in such a directory nothing is said. A link
 * is not among them: it leads to a file that the rule holds for under its own name, or does not.
 *
 * Throws `policy_denied` when the workspace has more entries than can be looked through, or too many are found: then
 * nobody knows what the rule would hide.
 */
export async function findPaths(overlay: Overlay, rule: PathRule): Promise<FoundPath[]> {
  const search: Search = { overlay, rule, found: [], entries: 0 };
  if (rule(guestPathOf('cwd', [])))
    throw new Fault('policy_denied', "the operator's policy forbids the whole workspace");
  await searchBelow(search, { upper: overlay.upper.root, lower: overlay.lower }, []);
  return search.found;
}

interface Search {
  readonly overlay: Overlay;
  readonly rule: PathRule;
  readonly found: FoundPath[];
  entries: number;
}

async function searchBelow(search: Search, { upper, lower }: LayerPair, at: readonly string[]): Promise<void> {
  const { rule, found, overlay } = search;
  for (const name of await namesOf(search, upper, lower)) {
    const segments = [...at, name];
    await withHandles(async (scope) => {
      const above = upper === null ? null : scope.own(await upper.lookup(name));
      const below = lower === null ? null : scope.own(await lower.lookup(name));
      const shown = above ?? below;
      if (shown === null || (shown.kind !== 'file' && shown.kind !== 'directory')) return;
      const isDirectory = shown.kind === 'directory';
      if (rule(guestPathOf('cwd', segments))) found.push({ segments, isDirectory });
      else if (isDirectory && !(below !== null && overlay.forbidden.has(below.identity)))
        await searchBelow(search, { upper: directoryOf(above), lower: directoryOf(below) }, segments);
    });
    if (found.length > LIMITS.processHiddenPathsMax) throw tooMany();
  }
}

async function namesOf(search: Search, ...layers: readonly (HeldEntry | null)[]): Promise<ReadonlySet<string>> {
  const names = new Set<string>();
  for (const layer of layers) {
    if (layer === null) continue;
    for (const { name } of await layer.list()) names.add(name);
  }
  search.entries += names.size;
  if (search.entries > LIMITS.processHiddenSearchMax) throw tooMany();
  return names;
}

function directoryOf(entry: HeldEntry | null): HeldEntry | null {
  return entry?.kind === 'directory' ? entry : null;
}

function tooMany(): Fault {
  const message = 'no commands in this workspace: it is too large to hide from them what policy.deny_paths names';
  return new Fault('policy_denied', message, { field: 'policy.deny_paths' });
}
