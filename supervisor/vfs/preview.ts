import { LIMITS } from '../../abi/limits.js';
import type { Mount } from './mount.js';
import { escapeUnprintable, type GuestPath } from './path.js';
import { decodeText, unifiedDiff } from './text-diff.js';

/**
 * What a write would do, in lines a person can judge before answering an approval: what is there now, both sizes, and
 * up to 40 lines of diff. Nothing in the lines can move a cursor, hide or reorder text. Throws as a read would when the
 * path cannot be resolved; the write would then fail as well.
 */
export async function previewWrite(mount: Mount, path: GuestPath, content: Uint8Array): Promise<string[]> {
  const resolved = await mount.realPath(path.segments);
  const lines: string[] = [];
  if (resolved.display !== path.display) lines.push(`${path.display} is a link to ${resolved.display}`);
  if (!(await mount.exists(path.segments))) {
    lines.push(`new file ${resolved.display}, ${countBytes(content.length)}`);
    return [...lines, ...previewText(resolved, null, content)];
  }
  const { size, isDir } = await mount.stat(path.segments);
  if (isDir) return [...lines, `${resolved.display} is a directory; the write would fail`];
  lines.push(`replaces ${resolved.display}: ${countBytes(size)} become ${countBytes(content.length)}`);
  if (size > LIMITS.previewTextBytesMax) return [...lines, 'the present content is too large to compare'];
  return [...lines, ...previewText(resolved, await mount.readFile(path.segments), content)];
}

function previewText(path: GuestPath, before: Uint8Array | null, content: Uint8Array): string[] {
  if (content.length > LIMITS.previewTextBytesMax) return ['the new content is too large to show'];
  const after = decodeText(content);
  const old = before === null ? '' : decodeText(before);
  if (after === null || old === null) return ['binary content'];
  if (before !== null && old === after) return ['the content stays the same'];
  // The two header lines name the path again.
  const lines = unifiedDiff(path.segments.join('/'), before === null ? null : old, after)
    .split('\n')
    .slice(2, -1);
  const shown = lines.slice(0, LIMITS.previewLinesMax).map(cleanLine);
  const left = lines.length - shown.length;
  return left > 0 ? [...shown, `… ${left} more lines`] : shown;
}

/** One line of untrusted text, escaped and cut. A tab is kept as spaces: it moves the cursor, but means no harm. */
function cleanLine(line: string): string {
  const cut = line.slice(0, LIMITS.previewLineCharsMax);
  const clean = escapeUnprintable(cut.replaceAll('\t', '    ')).replaceAll('\\\\', '\\');
  return cut.length < line.length ? `${clean} … ${line.length - cut.length} more characters` : clean;
}

function countBytes(bytes: number): string {
  return bytes === 1 ? '1 byte' : `${bytes} bytes`;
}
