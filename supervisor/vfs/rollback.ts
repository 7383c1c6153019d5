import type { RollbackResult } from '../../abi/control.js';
import { type Change, listChanges, parseFilter } from './changes.js';
import type { HandleScope } from './handle-scope.js';
import type { HeldEntry } from './held-dir.js';
import { walkPlain } from './layer-walk.js';
import type { Overlay } from './overlay.js';
import { pruneUpper } from './prune.js';
import type { UpperDir } from './upper-layer.js';

/**
 * Forgets the session's changes, all or those at and below `paths`; the workspace shows through again. A file inside a
 * directory that the session deleted can be brought back alone: the directory then comes back, its other entries stay
 * deleted. Paths are relative. A crash in between leaves some changes; the next rollback takes the rest.
 */
export async function rollbackOverlay(overlay: Overlay, paths?: readonly string[]): Promise<RollbackResult> {
  const wanted = parseFilter(paths);
  const changes = await listChanges(overlay);
  const rolledBack: string[] = [];
  // Backwards: what a new directory holds before the directory, a deleted directory before what was in it.
  for (const change of [...changes].reverse()) {
    if (!wanted(change.segments)) continue;
    const done = await overlay.change(change.segments, (scope) =>
      change.upper === null ? uncover(scope, overlay, change.segments) : dropEntry(scope, overlay, change),
    );
    if (done && change.kind !== 'unchanged') rolledBack.push(change.segments.join('/'));
  }
  await pruneUpper(overlay, changes);
  return { rolledBack: rolledBack.sort() };
}

/** Removes the upper entry. A directory that is not empty stays: something in it is not to be rolled back. */
async function dropEntry(scope: HandleScope, overlay: Overlay, change: Change): Promise<boolean> {
  const name = change.segments.at(-1) ?? '';
  const directory = await walkPlain(scope, overlay.upper.root, change.segments.slice(0, -1), overlay.forbidden);
  const entry = directory === null ? null : scope.own(await directory.lookup(name));
  if (directory === null || entry === null) return false;
  return drop(overlay, directory, name, entry, change.segments.join('/'));
}

async function drop(
  overlay: Overlay,
  directory: HeldEntry,
  name: string,
  entry: HeldEntry,
  path: string,
): Promise<boolean> {
  if (entry.kind === 'directory' && (await entry.list()).length > 0) return false;
  await overlay.upper.drop(directory, name, entry);
  await overlay.upper.records.forget(path, entry.kind !== 'directory');
  return true;
}

/**
 * Brings back one entry of a deleted directory: each deleted ancestor becomes a directory again whose entries are all
 * marked as deleted, one by one, and then the mark of the wanted entry goes. True as well when a rolled-back ancestor
 * has brought it back already; false when a file of the session is in the way.
 */
async function uncover(scope: HandleScope, overlay: Overlay, segments: readonly string[]): Promise<boolean> {
  let dir: UpperDir = { upper: overlay.upper.root, lower: overlay.lower };
  for (const [index, name] of segments.entries()) {
    const path = segments.slice(0, index + 1).join('/');
    const upper = scope.own(await dir.upper.lookup(name));
    const lower = dir.lower === null ? null : scope.own(await dir.lower.lookup(name));
    if (upper === null) return lower !== null;
    const last = index === segments.length - 1;
    if (last) return upper.kind === 'whiteout' && drop(overlay, dir.upper, name, upper, path);
    if (upper.kind === 'whiteout' && lower?.kind === 'directory') {
      dir = await overlay.upper.putDir(scope, dir, path, name);
    } else if (upper.kind === 'directory') {
      dir = { upper, lower: lower?.kind === 'directory' ? lower : null };
    } else {
      return false;
    }
  }
  return false;
}
