import type { ApprovalRow } from '../../abi/control.js';
import { formatAge } from './human.js';
import { sanitizeLine } from './sanitize.js';
import { type Part, paint, type Span, type StyleName, type Terminal } from './terminal.js';
import { cutMiddle, measureWidth, takeWidth } from './width.js';

/** A question never takes more: what scrolls away was not read, and so was not agreed to. */
export const CARD_LINES_MAX = 20;
const RESOURCE_LINES_MAX = 3;
const LABEL_COLUMNS = 6;
const FOREIGN_SHOWN_MAX = 6;
const DETAIL_LINES_MIN = 1;

const STATE_STYLE: Record<ApprovalRow['state'], StyleName> = {
  pending: 'yellow',
  queued: 'yellow',
  once: 'green',
  session: 'green',
  denied: 'red',
  expired: 'dim',
  used: 'dim',
};

export interface CardOptions {
  readonly columns: number;
  /** Lines of the screen; the card stays below it. */
  readonly rows: number;
  readonly now: number;
  /** Lines the caller prints under the card and that must be visible with it. */
  readonly reserve: number;
}

export interface ApprovalCard {
  readonly lines: readonly (readonly Span[])[];
  /** Detail lines that did not fit, and lines that were cut in their width. */
  readonly hiddenLines: number;
}

/** One value in at most `linesMax` lines; if it needs more, its middle goes and the number of characters says so. */
function foldValue(text: string, columns: number, linesMax: number): string[] {
  let rest = cutMiddle(sanitizeLine(text), columns * linesMax);
  const lines: string[] = [];
  while (measureWidth(rest) > columns && lines.length < linesMax - 1) {
    const line = takeWidth(rest, columns);
    lines.push(line);
    rest = rest.slice(line.length);
  }
  lines.push(takeWidth(rest, columns));
  return lines;
}

/** Letters that look like others: told with their code points, since a reader cannot see the difference. */
export function findForeignLetters(text: string): string[] {
  const found = new Set(
    [...text].filter((character) => /[^\x00-\x7f]/u.test(character) && /\p{L}|\p{N}/u.test(character)),
  );
  return [...found].map((character) => {
    const point = (character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0');
    return `${character} U+${point}`;
  });
}

function foreignNote(row: ApprovalRow): string | null {
  const found = findForeignLetters(`${row.resource} ${row.action} ${row.capsule}`);
  if (found.length === 0) return null;
  const more = found.length > FOREIGN_SHOWN_MAX ? ` and ${found.length - FOREIGN_SHOWN_MAX} more` : '';
  return `letters outside ASCII: ${found.slice(0, FOREIGN_SHOWN_MAX).join(', ')}${more}`;
}

/** Every line of the detail, whatever the strings hold: one that brings its own newlines does not get lines for free. */
function splitDetail(row: ApprovalRow): string[] {
  return row.detail.flatMap((line) => line.split('\n'));
}

function labelled(label: string, values: readonly string[], style: StyleName): Span[][] {
  return values.map((value, i) => [paint('dim', (i === 0 ? label : '').padEnd(LABEL_COLUMNS)), paint(style, value)]);
}

/** The question as lines: what first, then who and why, then as much detail as fits. Values in, lines out. */
export function layOutApproval(row: ApprovalRow, options: CardOptions): ApprovalCard {
  const columns = Math.max(20, options.columns - LABEL_COLUMNS - 1);
  const age = formatAge(Math.max(0, options.now - row.createdAt));
  const head: Span[][] = [
    [
      paint('bold', 'approval '),
      paint('plain', row.id),
      paint(STATE_STYLE[row.state] ?? 'plain', `  ${row.state} ${age}`),
    ],
    ...labelled('what', foldValue(`${row.action} ${row.resource}`, columns, RESOURCE_LINES_MAX), 'bold'),
    ...labelled(
      'who',
      foldValue(`capsule ${row.capsule}, for ${row.principal}, session ${row.session}`, columns, 1),
      'plain',
    ),
    ...labelled(
      'why',
      foldValue(`${row.why} (risk ${row.risk || 'not told'}, args ${row.argsHash.slice(0, 12) || '-'})`, columns, 2),
      'plain',
    ),
  ];
  const note = foreignNote(row);
  if (note !== null) head.push(...labelled('note', foldValue(note, columns, 1), 'yellow'));
  const detail = splitDetail(row);
  const screen = Math.min(CARD_LINES_MAX, options.rows - 1) - options.reserve;
  const room = Math.max(DETAIL_LINES_MIN, screen - head.length);
  // One line of the room tells how many more there are.
  const shown = detail.length <= room ? detail : detail.slice(0, Math.max(0, room - 1));
  const lines = [
    ...head,
    ...labelled(
      'does',
      shown.map((line) => cutMiddle(sanitizeLine(line), columns)),
      'plain',
    ),
  ];
  const hiddenLines = detail.length - shown.length;
  const cutLines = shown.filter((line) => measureWidth(sanitizeLine(line)) > columns).length;
  if (hiddenLines > 0) {
    lines.push([paint('yellow', `${' '.repeat(LABEL_COLUMNS)}… ${hiddenLines} more lines`)]);
  }
  return { lines, hiddenLines: hiddenLines + cutLines };
}

export function printCard(terminal: Terminal, card: ApprovalCard): void {
  for (const spans of card.lines) terminal.line(...spans);
}

/** The whole detail, uncut, for whoever asks to see it. */
export function printDetail(terminal: Terminal, row: ApprovalRow): void {
  terminal.line(paint('dim', `${row.action} ${row.resource}`));
  for (const line of splitDetail(row)) terminal.line(...([paint('dim', '| '), line] satisfies Part[]));
}
