/**
 * Text from a capsule, a file or a log is data: nothing in it may steer the terminal or hide from the reader
 * (attack class 9: `ESC[2K`, `ESC]8;;`, bidi overrides, zero-width letters, newlines that scroll the question away).
 *
 * Two readings of the same rule:
 *  - `sanitizeText`, `sanitizeLine`: every hidden code point is written out as `\u{1b}`. Nothing disappears, so two
 *    different file names never look alike and no argument hides inside an escape sequence. For everything that
 *    somebody decides upon.
 *  - `sanitizeProse`: hidden code points and whole escape sequences are dropped. For an agent's running text, where
 *    a joiner or a soft hyphen is ordinary spelling and an escape would only be noise.
 */

/** C0 but for tab and newline, DEL, C1. */
const CONTROLS = '\\u0000-\\u0008\\u000b-\\u001f\\u007f-\\u009f';
/** Line and paragraph separators break lines in some terminals; interlinear marks swallow what they enclose. */
const SEPARATORS = '\\u2028\\u2029\\ufff9-\\ufffb';
/** What renders as nothing (zero-width, tags, bidi controls) and halves of surrogate pairs. */
const INVISIBLE = '\\p{Default_Ignorable_Code_Point}\\p{Bidi_Control}\\p{Surrogate}';
/** The one thing of these that is left: a variation selector right after the emoji it belongs to. */
const EMOJI_STYLE = '(?<=\\p{Extended_Pictographic})[\\ufe0e\\ufe0f]';

const HIDDEN = new RegExp(`(?!${EMOJI_STYLE})[${CONTROLS}${SEPARATORS}${INVISIBLE}]`, 'gu');
const LINE_BREAKS = /[\n\t]/g;

/**
 * A whole sequence: CSI, then the string kinds (OSC, DCS, SOS, PM, APC) up to their terminator, then the short ones.
 * An unterminated string loses its introducer only: a terminal would swallow the rest, a reader must not.
 */
const SEQUENCE = new RegExp(
  [
    '(?:\\u001b\\[|\\u009b)[0-?]*[ -/]*[@-~]',
    '(?:\\u001b[\\]PX^_]|[\\u009d\\u0090\\u0098\\u009e\\u009f])[^\\u0007\\u001b\\u0080-\\u009f\\n]{0,4096}(?:\\u0007|\\u001b\\\\|\\u009c)',
    '\\u001b[ -/]*[0-~]',
  ].join('|'),
  'gu',
);

function showCodePoint(hidden: string): string {
  return `\\u{${(hidden.codePointAt(0) ?? 0).toString(16)}}`;
}

/** Multi-line text with every hidden code point written out; newline and tab stay. Output holds no control character. */
export function sanitizeText(text: string): string {
  return text.replace(HIDDEN, showCodePoint);
}

/** As `sanitizeText`, and on one line: newline and tab are written out too, so that one value is one line. */
export function sanitizeLine(text: string): string {
  return sanitizeText(text).replace(LINE_BREAKS, (c) => (c === '\n' ? '\\n' : '\\t'));
}

/** Running text: escape sequences and hidden code points are dropped; newline and tab stay. */
export function sanitizeProse(text: string): string {
  return text.replaceAll('\r\n', '\n').replace(SEQUENCE, '').replace(HIDDEN, '');
}

/** JSON text for a terminal or a pipe: hidden code points as JSON's own escapes, so that the value is unchanged. */
export function sanitizeJson(json: string): string {
  return json.replace(HIDDEN, (hidden) => {
    let escaped = '';
    for (let i = 0; i < hidden.length; i += 1) {
      escaped += `\\u${hidden.charCodeAt(i).toString(16).padStart(4, '0')}`;
    }
    return escaped;
  });
}
