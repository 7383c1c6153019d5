import { createTwoFilesPatch, FILE_HEADERS_ONLY } from 'diff';
import { LIMITS } from '../../abi/limits.js';

const CONTEXT_LINES = 3;

/** The text of a file, or null if it is none: not UTF-8, holding NUL, or longer than the bound. */
export function decodeText(content: Uint8Array): string | null {
  if (content.length > LIMITS.diffTextBytesMax || content.includes(0)) return null;
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(content);
  } catch (error) {
    if (error instanceof TypeError) return null;
    throw error;
  }
}

/**
 * A unified diff that `patch -p1` and `git apply` take. `before` or `after` null: the file is not there on that side.
 * Texts too long or too different for the search are shown as one block out and one block in, between what they share
 * at both ends.
 */
export function unifiedDiff(path: string, before: string | null, after: string | null): string {
  const from = before === null ? '/dev/null' : `a/${path}`;
  const to = after === null ? '/dev/null' : `b/${path}`;
  const old = splitLines(before ?? '');
  const fresh = splitLines(after ?? '');
  const options = { context: CONTEXT_LINES, maxEditLength: LIMITS.diffEditsMax, headerOptions: FILE_HEADERS_ONLY };
  if (Math.max(old.length, fresh.length) <= LIMITS.diffSearchLinesMax) {
    const patch = createTwoFilesPatch(from, to, before ?? '', after ?? '', undefined, undefined, options);
    if (patch !== undefined) return patch;
  }
  const header = createTwoFilesPatch(from, to, '', '', undefined, undefined, options) ?? '';
  return `${header}${replaceBlock(old, fresh)}`;
}

/** Lines with their newline; the last one may have none. */
function splitLines(text: string): string[] {
  return text.match(/[^\n]*\n|[^\n]+$/g) ?? [];
}

function replaceBlock(old: readonly string[], fresh: readonly string[]): string {
  const shorter = Math.min(old.length, fresh.length);
  let head = 0;
  while (head < shorter && old[head] === fresh[head]) head += 1;
  let tail = 0;
  while (tail < shorter - head && old.at(-1 - tail) === fresh.at(-1 - tail)) tail += 1;
  const start = Math.max(0, head - CONTEXT_LINES);
  const kept = Math.min(tail, CONTEXT_LINES);
  const range = (lines: readonly string[]) => {
    const count = lines.length - tail + kept - start;
    return `${count === 0 ? start : start + 1},${count}`;
  };
  const out = [
    ...old.slice(start, head).map((line) => mark(' ', line)),
    ...old.slice(head, old.length - tail).map((line) => mark('-', line)),
    ...fresh.slice(head, fresh.length - tail).map((line) => mark('+', line)),
    ...old.slice(old.length - tail, old.length - tail + kept).map((line) => mark(' ', line)),
  ];
  return `@@ -${range(old)} +${range(fresh)} @@\n${out.join('')}`;
}

function mark(sign: string, line: string): string {
  return line.endsWith('\n') ? `${sign}${line}` : `${sign}${line}\n\\ No newline at end of file\n`;
}
