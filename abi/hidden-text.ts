/**
 * Which code points a reader does not see, or which do something to what stands beside them. One rule for terminals and for the
 * files that a person opens: what is safe in one and not in the other would be found by whoever looks for it.
 */

/** C0 but for tab and newline, DEL, C1. */
const CONTROLS = '\\u0000-\\u0008\\u000b-\\u001f\\u007f-\\u009f';
/** Line and paragraph separators break lines in some terminals; interlinear marks swallow what they enclose. */
const SEPARATORS = '\\u2028\\u2029\\ufff9-\\ufffb';
/** What renders as nothing (zero-width, tags, bidi controls) and halves of surrogate pairs. */
const INVISIBLE = '\\p{Default_Ignorable_Code_Point}\\p{Bidi_Control}\\p{Surrogate}';
/** The one thing of these that is left: a variation selector right after the emoji it belongs to. */
const EMOJI_STYLE = '(?<!\\p{Extended_Pictographic}[\\ufe0e\\ufe0f])';

/** The exception is looked at behind the match: tried at each character, it would make long lines six times as slow. */
export const HIDDEN = new RegExp(`[${CONTROLS}${SEPARATORS}${INVISIBLE}]${EMOJI_STYLE}`, 'gu');
const LINE_BREAKS = /[\n\t]/g;

function showCodePoint(hidden: string): string {
  return `\\u{${(hidden.codePointAt(0) ?? 0).toString(16)}}`;
}

/** Multi-line text with every hidden code point written out as `\u{1b}`; newline and tab stay. */
export function showHidden(text: string): string {
  return text.replace(HIDDEN, showCodePoint);
}

/** As `showHidden`, and on one line: newline and tab are written out too, so that one value is one line. */
export function showHiddenInLine(text: string): string {
  return showHidden(text).replace(LINE_BREAKS, (c) => (c === '\n' ? '\\n' : '\\t'));
}
