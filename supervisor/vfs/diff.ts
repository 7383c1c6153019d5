import type { DiffRow } from '../../abi/control.js';
import { LIMITS } from '../../abi/limits.js';
import { type Change, listChanges, parseFilter } from './changes.js';
import { readContent } from './content.js';
import { EntryError } from './errno-fault.js';
import type { HandleScope } from './handle-scope.js';
import type { HeldEntry } from './held-dir.js';
import { walkPlain } from './layer-walk.js';
import type { Overlay } from './overlay.js';
import { decodeText, unifiedDiff } from './text-diff.js';

/**
 * What the session would change in the workspace, sorted by path (relative, `/` between names, unescaped). `bytes` is
 * the new size, for a deletion the old one. A file whose content ended up as it was is no change.
 */
export async function diffOverlay(overlay: Overlay, paths?: readonly string[]): Promise<DiffRow[]> {
  const wanted = parseFilter(paths);
  const rows: DiffRow[] = [];
  let textBytes = 0;
  for (const change of await listChanges(overlay)) {
    if (change.kind === 'unchanged' || !wanted(change.segments)) continue;
    const row = await overlay.look(change.segments, (scope) => describe(scope, overlay, change));
    if (row === null) continue;
    textBytes += row.unified === null ? 0 : Buffer.byteLength(row.unified);
    rows.push(textBytes > LIMITS.diffBytesMax ? { ...row, unified: null } : row);
  }
  return rows.sort((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0));
}

/** The row of one change, from what the layers hold now; null when it is no change any more. */
async function describe(scope: HandleScope, overlay: Overlay, change: Change): Promise<DiffRow | null> {
  if (change.kind === 'unchanged') return null;
  const path = change.segments.join('/');
  const upper = change.upper === null ? null : await holdAt(scope, overlay.upper.root, overlay, change.segments);
  const lower = await holdAt(scope, overlay.lower, overlay, change.segments);
  if (upper === null && lower === null) return null;
  const after = upper?.kind === 'file' ? await textOf(upper) : null;
  const before = lower?.kind === 'file' ? await textOf(lower) : null;
  const bytes = Number((upper?.kind === 'file' ? upper : lower?.kind === 'file' ? lower : null)?.stat.size ?? 0n);
  const { kind } = change;
  if (kind === 'directory') return { path, kind, unified: null, bytes: 0 };
  if (kind === 'deleted')
    return { path, kind, unified: before === null ? null : unifiedDiff(path, before, null), bytes };
  if (kind === 'added') return { path, kind, unified: after === null ? null : unifiedDiff(path, null, after), bytes };
  if (after === null || before === null) {
    return upper !== null && lower !== null && (await sameBytes(upper, lower))
      ? null
      : { path, kind, unified: null, bytes };
  }
  return after === before ? null : { path, kind, unified: unifiedDiff(path, before, after), bytes };
}

async function holdAt(
  scope: HandleScope,
  root: HeldEntry,
  overlay: Overlay,
  segments: readonly string[],
): Promise<HeldEntry | null> {
  const parent = await walkPlain(scope, root, segments.slice(0, -1), overlay.forbidden);
  const name = segments.at(-1);
  return parent === null || name === undefined ? null : scope.own(await parent.lookup(name));
}

async function textOf(entry: HeldEntry): Promise<string | null> {
  if (entry.stat.size > BigInt(LIMITS.diffTextBytesMax)) return null;
  try {
    return decodeText(await readContent(entry, LIMITS.diffTextBytesMax));
  } catch (error) {
    // It grew past the bound while it was read.
    if (error instanceof EntryError) return null;
    throw error;
  }
}

/** Whether two binary files of diffable size are the same; larger ones are taken to differ, unread. */
async function sameBytes(a: HeldEntry, b: HeldEntry): Promise<boolean> {
  if (a.kind !== 'file' || b.kind !== 'file' || a.stat.size !== b.stat.size) return false;
  if (a.stat.size > BigInt(LIMITS.diffTextBytesMax)) return false;
  return (await readContent(a, LIMITS.diffTextBytesMax)).equals(await readContent(b, LIMITS.diffTextBytesMax));
}
