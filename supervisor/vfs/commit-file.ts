import { randomBytes } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import { copyContent } from './content.js';
import { errnoOf } from './errno-fault.js';
import { type HandleScope, withHandles } from './handle-scope.js';
import type { HeldEntry } from './held-dir.js';
import { walkPlain } from './layer-walk.js';
import { permissionsOf } from './layered-mount.js';
import { isStillThere, judgeReplacement } from './lower-check.js';
import type { Overlay } from './overlay.js';

/** Half-written files in the workspace carry this name until they are renamed. */
const TEMP_PREFIX = '.astrid-commit-';
const TEMP_NAME = /^\.astrid-commit-[0-9a-f]{16}$/;

/** The points between which a commit may be cut off; a test stops at each of them. */
export type CommitStep = 'staged' | 'checked' | 'applied' | 'forgotten' | 'cleared';
export type OnStep = (step: CommitStep, path: string) => Promise<void> | void;

export interface FileTarget {
  /** The lower directory, and the path and name of the entry in it. */
  readonly directory: HeldEntry;
  readonly path: string;
  readonly name: string;
  /** The file of the upper layer. */
  readonly wanted: HeldEntry;
}

/**
 * Puts one file of the upper layer in the place of its lower one: written beside it, synced, checked a last time, and
 * renamed. Returns false when the lower entry is not what the session saw; then it is as it was.
 *
 * POSIX has no rename that is conditional on the content it replaces. Between the last check and the rename, two system
 * calls apart, a change by somebody else can still be lost; a name that was free is taken by link(2), where it cannot.
 */
export async function commitFile(scope: HandleScope, overlay: Overlay, target: FileTarget, onStep: OnStep) {
  const { directory, name, path, wanted } = target;
  const judge = async (): Promise<{ verdict: string; now: HeldEntry | null }> => {
    const now = scope.own(await directory.lookup(name));
    return { now, verdict: await judgeReplacement(overlay.upper.records.get(path), directory, name, now, wanted) };
  };
  const first = await judge();
  if (first.verdict === 'conflict') return false;
  if (first.verdict === 'done') return true;
  const mode = permissionsOf(first.now?.kind === 'file' ? first.now : wanted);
  return withTemp(overlay, directory, path, async (temp, file) => {
    await copyContent(wanted, file);
    await keepOwner(file, first.now);
    await file.chmod(mode);
    await file.sync();
    await onStep('staged', path);
    const { verdict, now } = await judge();
    if (verdict === 'conflict') return false;
    if (now?.kind === 'directory' && !(await removeEmptyDir(directory, name))) return false;
    await onStep('checked', path);
    if (now === null || now.kind === 'directory') return takeFreeName(directory, temp, name);
    if (!(await isStillThere(directory, name, now))) return false;
    await directory.moveTo(temp, directory, name);
    return true;
  });
}

/** Runs an action with a new file in the lower layer, noted in the records first, so that no crash leaves it behind. */
async function withTemp(
  overlay: Overlay,
  directory: HeldEntry,
  path: string,
  action: (temp: string, file: FileHandle) => Promise<boolean>,
): Promise<boolean> {
  const { records } = overlay.upper;
  const temp = `${TEMP_PREFIX}${randomBytes(8).toString('hex')}`;
  const tempPath = [...path.split('/').slice(0, -1), temp].join('/');
  await records.temp(tempPath);
  try {
    const file = await directory.createFile(temp, 0o600);
    try {
      return await action(temp, file);
    } finally {
      await file.close();
    }
  } finally {
    await removeTemp(directory, temp);
    await records.landed(tempPath);
  }
}

async function removeTemp(directory: HeldEntry, temp: string): Promise<void> {
  try {
    await directory.removeFile(temp);
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error;
  }
}

async function takeFreeName(directory: HeldEntry, temp: string, name: string): Promise<boolean> {
  try {
    await directory.linkTo(temp, directory, name);
    return true;
  } catch (error) {
    if (errnoOf(error) === 'EEXIST') return false;
    throw error;
  }
}

/** rmdir(2) refuses a directory that somebody put something into: false. */
export async function removeEmptyDir(directory: HeldEntry, name: string): Promise<boolean> {
  try {
    await directory.removeDir(name);
    return true;
  } catch (error) {
    if (errnoOf(error) === 'ENOTEMPTY' || errnoOf(error) === 'EEXIST') return false;
    throw error;
  }
}

/** Root replacing somebody's file leaves it theirs; anybody else may not give files away, and theirs stays theirs. */
async function keepOwner(file: FileHandle, old: HeldEntry | null): Promise<void> {
  if (old === null || process.getuid?.() !== 0) return;
  await file.chown(Number(old.stat.uid), Number(old.stat.gid));
}

/** Removes half-written files that a killed process left in the workspace. Touches only names that commit makes. */
export async function removeLeftovers(overlay: Overlay): Promise<void> {
  const { records } = overlay.upper;
  for (const path of records.pendingTemps) {
    const parent = path.split('/');
    const name = parent.pop() ?? '';
    await withHandles(async (scope) => {
      const directory = await walkPlain(scope, overlay.lower, parent, overlay.forbidden);
      if (directory !== null && TEMP_NAME.test(name)) await removeTemp(directory, name);
    });
    await records.landed(path);
  }
}
