import type { Change } from './changes.js';
import { withHandles } from './handle-scope.js';
import { walkPlain } from './layer-walk.js';
import type { Overlay } from './overlay.js';

/**
 * Removes upper directories that hold nothing and hide nothing: what is left of copied-up parents when all below them
 * was committed or rolled back. The merged view is the same with and without them.
 */
export async function pruneUpper(overlay: Overlay, changes: readonly Change[]): Promise<void> {
  for (const change of [...changes].reverse()) {
    if (change.upper !== 'directory') continue;
    await overlay.change(change.segments, () => pruneDir(overlay, change.segments));
  }
}

async function pruneDir(overlay: Overlay, segments: readonly string[]): Promise<void> {
  const at = segments.slice(0, -1);
  const name = segments.at(-1) ?? '';
  await withHandles(async (scope) => {
    const upperDir = await walkPlain(scope, overlay.upper.root, at, overlay.forbidden);
    const lowerDir = await walkPlain(scope, overlay.lower, at, overlay.forbidden);
    if (upperDir === null || lowerDir === null) return;
    const upper = scope.own(await upperDir.lookup(name));
    const lower = scope.own(await lowerDir.lookup(name));
    if (upper?.kind !== 'directory' || lower?.kind !== 'directory') return;
    if ((await upper.list()).length > 0) return;
    await overlay.upper.records.forget(segments.join('/'));
    await overlay.upper.drop(upperDir, name, upper);
  });
}
