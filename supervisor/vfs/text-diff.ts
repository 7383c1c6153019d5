import { createTwoFilesPatch, FILE_HEADERS_ONLY } from 'diff';

/** Text above this size is not diffed. */
export const DIFF_TEXT_BYTES_MAX = 1024 * 1024;
/**
 * Most differing lines that the search for a shortest diff may go through. Its cost grows with the square: two
 * unrelated texts of a megabyte would stop the supervisor for minutes.
 */
const EDITS_MAX = 1_000;
const CONTEXT_LINES = 3;

/** The text of a file, or null if it is none: not UTF-8, holding NUL, or longer than the bound. */
export function decodeText(content: Uint8Array): string | null {
  if (content.length > DIFF_TEXT_BYTES_MAX || content.includes(0)) return null;
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(content);
  } catch (error) {
    if (error instanceof TypeError) return null;
    throw error;
  }
}

/**
 * A unified diff that `patch -p1` and `git apply` take. `before` or `after` null: the file is not there on that side.
 * Texts too different for a search within the bound are shown as one block out and one block in.
 */
export function unifiedDiff(path: string, before: string | null, after: string | null): string {
  const from = before === null ? '/dev/null' : `a/${path}`;
  const to = after === null ? '/dev/null' : `b/${path}`;
  const options = { context: CONTEXT_LINES, maxEditLength: EDITS_MAX, headerOptions: FILE_HEADERS_ONLY };
  const patch = createTwoFilesPatch(from, to, before ?? '', after ?? '', undefined, undefined, options);
  if (patch !== undefined) return patch;
  const header = createTwoFilesPatch(from, to, '', '', undefined, undefined, options) ?? '';
  return `${header}${replaceBlock(before ?? '', after ?? '')}`;
}

function replaceBlock(before: string, after: string): string {
  const out = markLines('-', before);
  const into = markLines('+', after);
  const range = (count: number) => `${count === 0 ? 0 : 1},${count}`;
  return `@@ -${range(out.count)} +${range(into.count)} @@\n${out.text}${into.text}`;
}

function markLines(mark: string, text: string): { count: number; text: string } {
  if (text === '') return { count: 0, text: '' };
  const ended = text.endsWith('\n');
  const lines = (ended ? text.slice(0, -1) : text).split('\n');
  const marked = lines.map((line) => `${mark}${line}\n`).join('');
  return { count: lines.length, text: ended ? marked : `${marked}\\ No newline at end of file\n` };
}
