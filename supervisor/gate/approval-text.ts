/**
 * Text that comes from a capsule and is put before a person who decides by it. What is shown must be what is there:
 * nothing in it may move the cursor, reorder, hide or overprint what stands beside it.
 */
export const TEXT_BOUNDS = {
  detailLinesMax: 60,
  detailLineCharsMax: 400,
} as const;

/**
 * Controls and format characters (escape sequences, bidi, zero-width, tags), private use, lone surrogates, unassigned
 * code points, line and paragraph separators, and whatever a renderer draws as nothing (fillers, variation selectors,
 * the blank Braille pattern).
 */
const UNSHOWABLE = /[\p{Cc}\p{Cf}\p{Co}\p{Cs}\p{Cn}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\u2800]/gu;
/** Spaces that are not the space: they can push text aside or look like nothing. */
const ODD_SPACES = /[^\S \ufeff]/gu;
const LONG_GAP = / {17,}/g;
const GAP = ' '.repeat(16);
/** More than two marks on one letter only serve to climb over the neighbouring lines. */
const PILED_MARKS = /(\p{M}{2})\p{M}+/gu;
const NOT_ASCII = /[^\x20-\x7e]/gu;

/** One line, at most `charsMax` characters. A longer text keeps its beginning and its end, where a path's name is. */
export function cleanText(text: string, charsMax: number): string {
  const spaced = text.replace(ODD_SPACES, ' ').replace(UNSHOWABLE, '');
  return shorten(spaced.replace(LONG_GAP, GAP).replace(PILED_MARKS, '$1'), charsMax);
}

/**
 * `text` with everything that is not printable ASCII as `\u{…}`, or null when there is nothing of the kind. Shown beside
 * a name, it tells a Cyrillic letter from a Latin one and a hidden character from none.
 */
export function spellOut(text: string, charsMax: number): string | null {
  if (text.search(NOT_ASCII) === -1) return null;
  const spelt = text.replace(NOT_ASCII, (char) => `\\u{${(char.codePointAt(0) ?? 0).toString(16)}}`);
  return shorten(spelt, charsMax);
}

/** Lines for a prompt, each clean; when there are too many, the last says how many are missing. */
export function cleanLines(lines: readonly string[]): string[] {
  const { detailLinesMax, detailLineCharsMax } = TEXT_BOUNDS;
  const shown = lines.slice(0, detailLinesMax).map((line) => cleanText(line, detailLineCharsMax));
  const hidden = lines.length - shown.length;
  if (hidden > 0) shown.push(`… and ${hidden} more lines that are not shown`);
  return shown;
}

/** Cuts between code points, never inside one. */
function shorten(text: string, charsMax: number): string {
  if (text.length <= charsMax) return text;
  const headChars = Math.ceil((charsMax - 1) * 0.7);
  const head = text.slice(0, headChars).replace(/[\ud800-\udbff]$/, '');
  const tail = text.slice(text.length - (charsMax - 1 - headChars)).replace(/^[\udc00-\udfff]/, '');
  return `${head}…${tail}`;
}
