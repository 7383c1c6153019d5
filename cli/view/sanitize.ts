import { HIDDEN, showHidden, showHiddenInLine } from '../../abi/hidden-text.js';

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

/** Multi-line text with every hidden code point written out; newline and tab stay. Output holds no control character. */
export const sanitizeText = showHidden;

/** As `sanitizeText`, and on one line: newline and tab are written out too, so that one value is one line. */
export const sanitizeLine = showHiddenInLine;

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
