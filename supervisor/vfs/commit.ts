import type { CommitResult } from '../../abi/control.js';
import { type Change, listChanges, parseFilter } from './changes.js';
import { commitFile, type OnStep, removeEmptyDir, removeLeftovers } from './commit-file.js';
import type { HandleScope } from './handle-scope.js';
import type { HeldEntry } from './held-dir.js';
import { walkPlain } from './layer-walk.js';
import { permissionsOf } from './layered-mount.js';
import { judgeRemoval } from './lower-check.js';
import type { Overlay } from './overlay.js';
import { pruneUpper } from './prune.js';

type Outcome = 'committed' | 'conflict' | 'nothing';

/**
 * Brings the session's changes into the workspace, all or those at and below `paths` (a file of a new directory brings
 * the directory with it). Each file is replaced as a whole or not at all; a lower entry that is no longer what the
 * session saw is listed under `conflicts` and left alone, and the change stays in the overlay. Paths are relative.
 *
 * Throws what the disk says (`no_space`, `io_error`); what was committed before that stays, and a repeated commit goes on.
 *
 * Order per entry: lower layer changed and synced → record dropped → upper entry removed. A crash in between leaves an
 * upper entry that says the same as the lower one; the next commit finds that out and finishes. Extended attributes
 * and set-user-id bits of a replaced file are not kept.
 */
export async function commitOverlay(
  overlay: Overlay,
  paths?: readonly string[],
  onStep: OnStep = () => undefined,
): Promise<CommitResult> {
  const wanted = parseFilter(paths);
  await overlay.change([], () => removeLeftovers(overlay));
  const changes = await listChanges(overlay);
  const committed: string[] = [];
  const conflicts: string[] = [];
  for (const change of changes) {
    if (!wanted(change.segments)) continue;
    const outcome = await overlay.change(change.segments, (scope) => commitChange(scope, overlay, change, onStep));
    if (outcome === 'conflict') conflicts.push(change.segments.join('/'));
    if (outcome === 'committed' && change.kind !== 'unchanged') committed.push(change.segments.join('/'));
  }
  await pruneUpper(overlay, changes);
  return { committed: committed.sort(), conflicts: conflicts.sort() };
}

/** Commits one entry by what the upper layer holds now; what was listed is only where to look. */
async function commitChange(scope: HandleScope, overlay: Overlay, change: Change, onStep: OnStep): Promise<Outcome> {
  const at = change.segments.slice(0, -1);
  const name = change.segments.at(-1) ?? '';
  if (change.upper === null) return commitHidden(scope, overlay, change.segments);
  const upperDir = await walkPlain(scope, overlay.upper.root, at, overlay.forbidden);
  const entry = upperDir === null ? null : scope.own(await upperDir.lookup(name));
  if (upperDir === null || entry === null) return 'nothing';
  const target = { upperDir, entry, at, name, path: change.segments.join('/') };
  if (entry.kind === 'whiteout') return commitWhiteout(scope, overlay, target, onStep);
  if (entry.kind === 'directory') return commitDirectory(scope, overlay, target);
  if (entry.kind !== 'file') return 'conflict';
  const directory = await makeLowerDirs(scope, overlay, at);
  if (directory === null) return 'conflict';
  const { path } = target;
  if (!(await commitFile(scope, overlay, { directory, path, name, wanted: entry }, onStep))) return 'conflict';
  await directory.syncNames();
  await onStep('applied', path);
  return clear(overlay, target, onStep);
}

interface UpperTarget {
  readonly upperDir: HeldEntry;
  readonly entry: HeldEntry;
  readonly at: readonly string[];
  readonly name: string;
  readonly path: string;
}

/** The record goes first: an upper entry without one is at worst a conflict, a record left over would be a wrong one. */
async function clear(overlay: Overlay, target: UpperTarget, onStep: OnStep): Promise<Outcome> {
  await overlay.upper.records.forget(target.path, target.entry.kind !== 'directory');
  await onStep('forgotten', target.path);
  await overlay.upper.drop(target.upperDir, target.name, target.entry);
  await onStep('cleared', target.path);
  return 'committed';
}

async function commitWhiteout(
  scope: HandleScope,
  overlay: Overlay,
  target: UpperTarget,
  onStep: OnStep,
): Promise<Outcome> {
  const { path, at, name } = target;
  const directory = await walkPlain(scope, overlay.lower, at, overlay.forbidden);
  if (directory !== null) {
    if (!(await removeLower(scope, overlay, directory, name, path))) return 'conflict';
    await directory.syncNames();
  }
  await onStep('applied', path);
  return clear(overlay, target, onStep);
}

/** A lower entry inside a directory that the session deleted. Skipped when it has come back into view since. */
async function commitHidden(scope: HandleScope, overlay: Overlay, segments: readonly string[]): Promise<Outcome> {
  const name = segments.at(-1) ?? '';
  if (!(await isHidden(scope, overlay, segments))) return 'nothing';
  const directory = await walkPlain(scope, overlay.lower, segments.slice(0, -1), overlay.forbidden);
  if (directory === null) return 'committed';
  const path = segments.join('/');
  if (!(await removeLower(scope, overlay, directory, name, path))) return 'conflict';
  await overlay.upper.records.forget(path);
  return 'committed';
}

async function isHidden(scope: HandleScope, overlay: Overlay, segments: readonly string[]): Promise<boolean> {
  let directory = overlay.upper.root;
  for (const name of segments) {
    const entry = scope.own(await directory.lookup(name));
    if (entry === null) return false;
    if (entry.kind !== 'directory') return true;
    directory = entry;
  }
  return false;
}

async function commitDirectory(scope: HandleScope, overlay: Overlay, target: UpperTarget): Promise<Outcome> {
  const { path, at, name, entry } = target;
  const directory = await makeLowerDirs(scope, overlay, at);
  if (directory === null) return 'conflict';
  const now = scope.own(await directory.lookup(name));
  if (now?.kind === 'directory') return overlay.forbidden.has(now.identity) ? 'conflict' : 'committed';
  if (now !== null && !(await removeLower(scope, overlay, directory, name, path))) return 'conflict';
  await makeLowerDir(scope, directory, name, permissionsOf(entry));
  await directory.syncNames();
  await overlay.upper.records.forget(path);
  return 'committed';
}

/** Removes what the session deleted, if it is still what the session saw. False: it is not, and is left alone. */
async function removeLower(
  scope: HandleScope,
  overlay: Overlay,
  directory: HeldEntry,
  name: string,
  path: string,
): Promise<boolean> {
  const now = scope.own(await directory.lookup(name));
  const verdict = await judgeRemoval(overlay.upper.records.get(path), directory, name, now);
  if (verdict === 'conflict') return false;
  if (now === null) return true;
  if (now.kind === 'directory') return removeEmptyDir(directory, name);
  await directory.removeFile(name);
  return true;
}

/**
 * The lower directory of a path, with missing ones made like those of the upper layer. Null when a component is
 * something else by now, a link above all: it is never followed, wherever it leads.
 */
async function makeLowerDirs(scope: HandleScope, overlay: Overlay, at: readonly string[]): Promise<HeldEntry | null> {
  let lower = overlay.lower;
  let upper: HeldEntry | null = overlay.upper.root;
  for (const name of at) {
    upper = upper === null ? null : scope.own(await upper.lookup(name));
    let next: HeldEntry | null = scope.own(await lower.lookup(name));
    if (next === null && upper?.kind === 'directory') {
      next = await makeLowerDir(scope, lower, name, permissionsOf(upper));
    }
    if (next === null || next.kind !== 'directory' || overlay.forbidden.has(next.identity)) return null;
    lower = next;
  }
  return lower;
}

async function makeLowerDir(
  scope: HandleScope,
  parent: HeldEntry,
  name: string,
  mode: number,
): Promise<HeldEntry | null> {
  await parent.makeDir(name, mode);
  const made = scope.own(await parent.lookup(name));
  if (made?.kind === 'directory') await made.setMode(mode);
  return made;
}
