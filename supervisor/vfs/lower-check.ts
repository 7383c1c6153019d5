import { type Base, identify, isUnchanged } from './base-identity.js';
import { hashContent } from './content.js';
import { withHandles } from './handle-scope.js';
import type { HeldEntry } from './held-dir.js';

/**
 * How an entry of the lower layer stands to what the session saw there:
 *   free      nothing is there, and nothing was, or what was there is gone and cannot be lost
 *   same      it is what the session saw
 *   done      it is already what the session wants: a commit was cut short, or somebody made the same change
 *   conflict  it is something else; or nobody knows what was there
 */
export type LowerVerdict = 'free' | 'same' | 'done' | 'conflict';

/** Judges a lower entry that is to be removed or to make room for a directory. */
export async function judgeRemoval(
  base: Base | undefined,
  directory: HeldEntry,
  name: string,
  now: HeldEntry | null,
): Promise<LowerVerdict> {
  if (now === null) return 'free';
  if (base === undefined) return 'conflict';
  return isUnchanged(base, await identify(directory, name, now)) ? 'same' : 'conflict';
}

/** Judges a lower entry that a file of the upper layer is to replace. */
export async function judgeReplacement(
  base: Base | undefined,
  directory: HeldEntry,
  name: string,
  now: HeldEntry | null,
  wanted: HeldEntry,
): Promise<LowerVerdict> {
  if (now === null) {
    // A file that the session saw and somebody deleted since: writing it again would undo the deletion. Of a directory
    // nothing is lost, and a commit that was cut short after removing it leaves just that.
    return base === undefined || base === null || base.kind === 'directory' ? 'free' : 'conflict';
  }
  if (await sameContent(now, wanted)) return 'done';
  if (base === undefined) return 'conflict';
  return isUnchanged(base, await identify(directory, name, now)) ? 'same' : 'conflict';
}

async function sameContent(a: HeldEntry, b: HeldEntry): Promise<boolean> {
  if (a.kind !== 'file' || b.kind !== 'file' || a.stat.size !== b.stat.size) return false;
  return (await hashContent(a)) === (await hashContent(b));
}

/** Whether the name still leads to the very entry that was judged, untouched. The last look before a rename. */
export async function isStillThere(directory: HeldEntry, name: string, judged: HeldEntry | null): Promise<boolean> {
  return withHandles(async (scope) => {
    const now = scope.own(await directory.lookup(name));
    if (now === null || judged === null) return now === judged;
    return (
      now.identity === judged.identity &&
      now.stat.size === judged.stat.size &&
      now.stat.mtimeNs === judged.stat.mtimeNs &&
      now.stat.ctimeNs === judged.stat.ctimeNs
    );
  });
}
