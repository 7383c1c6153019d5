/**
 * How many terminal columns text takes. Unicode annex 11 in short: wide East Asian letters and emoji take two,
 * combining marks none. Terminals disagree on the rest; an error here misaligns a column and does nothing worse.
 */
const ZERO = /^[\p{Mark}\p{Default_Ignorable_Code_Point}]$/u;
const WIDE =
  /^(?:\p{Emoji_Presentation}|[\u1100-\u115f\u2e80-\u303e\u3041-\u33ff\u3400-\u4dbf\u4e00-\u9fff\ua000-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{20000}-\u{3fffd}])$/u;
const ASCII = /^[\x20-\x7e]*$/;

function widthOf(character: string): number {
  if (ZERO.test(character)) return 0;
  return WIDE.test(character) ? 2 : 1;
}

/** Columns of one line of sanitised text. */
export function measureWidth(text: string): number {
  if (ASCII.test(text)) return text.length;
  let width = 0;
  for (const character of text) width += widthOf(character);
  return width;
}

/** The longest start of `text` that takes at most `columns`. */
export function takeWidth(text: string, columns: number): string {
  if (ASCII.test(text)) return text.slice(0, Math.max(0, columns));
  let width = 0;
  let taken = '';
  for (const character of text) {
    width += widthOf(character);
    if (width > columns) break;
    taken += character;
  }
  return taken;
}

function takeWidthFromEnd(text: string, columns: number): string {
  let width = 0;
  let taken = '';
  for (const character of [...text].reverse()) {
    width += widthOf(character);
    if (width > columns) break;
    taken = character + taken;
  }
  return taken;
}

/** Text cut at its end, with `…` where something is missing. */
export function cutEnd(text: string, columns: number): string {
  if (measureWidth(text) <= columns) return text;
  return `${takeWidth(text, columns - 1)}…`;
}

/**
 * Text cut in its middle, saying how many characters are missing: the start names what it is, the end is where an
 * attacker would put what must not be read.
 */
export function cutMiddle(text: string, columns: number): string {
  if (measureWidth(text) <= columns) return text;
  const room = Math.max(2, columns - ` …${[...text].length} characters… `.length);
  const head = takeWidth(text, Math.ceil(room / 2));
  const tail = takeWidthFromEnd(text, Math.floor(room / 2));
  const missing = [...text].length - [...head].length - [...tail].length;
  return takeWidth(`${head} …${missing} characters… ${tail}`, columns);
}

export function padEnd(text: string, columns: number): string {
  return text + ' '.repeat(Math.max(0, columns - measureWidth(text)));
}

export function padStart(text: string, columns: number): string {
  return ' '.repeat(Math.max(0, columns - measureWidth(text))) + text;
}
