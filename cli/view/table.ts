import { sanitizeLine } from './sanitize.js';
import { paint, type Span, type StyleName, type Terminal } from './terminal.js';
import { cutEnd, measureWidth, padEnd, padStart } from './width.js';

export interface Column<Row> {
  readonly title: string;
  readonly align?: 'left' | 'right';
  /** Widest this column may get when the terminal is too narrow; without it the column is never cut. */
  readonly shrinkTo?: number;
  readonly cell: (row: Row) => string;
  readonly style?: (row: Row) => StyleName;
}

const GAP = '  ';

/** Widths that fit: columns with `shrinkTo` give way from the right until the rows fit or nothing is left to give. */
function fitWidths<Row>(columns: readonly Column<Row>[], natural: readonly number[], columnsMax: number): number[] {
  const widths = [...natural];
  let excess = widths.reduce((sum, width) => sum + width, 0) + GAP.length * (widths.length - 1) - columnsMax;
  for (let i = columns.length - 1; i >= 0 && excess > 0; i -= 1) {
    const floor = columns[i]?.shrinkTo;
    const width = widths[i] ?? 0;
    if (floor === undefined || width <= floor) continue;
    const given = Math.min(excess, width - floor);
    widths[i] = width - given;
    excess -= given;
  }
  return widths;
}

/** Lines of spans: the header, then one line per row. Cells are sanitised before they are measured. */
export function layOutTable<Row>(
  columns: readonly Column<Row>[],
  rows: readonly Row[],
  columnsMax: number = Number.POSITIVE_INFINITY,
): Span[][] {
  const texts = rows.map((row) => columns.map((column) => sanitizeLine(column.cell(row))));
  const natural = columns.map((column, i) =>
    Math.max(measureWidth(column.title), ...texts.map((cells) => measureWidth(cells[i] ?? ''))),
  );
  const widths = fitWidths(columns, natural, columnsMax);
  const layOut = (cells: readonly string[], styleOf: (column: Column<Row>) => StyleName): Span[] =>
    columns.map((column, i) => {
      const width = widths[i] ?? 0;
      const cut = cutEnd(cells[i] ?? '', width);
      const last = i === columns.length - 1;
      const padded = column.align === 'right' ? padStart(cut, width) : last ? cut : padEnd(cut, width);
      return paint(styleOf(column), last ? padded : padded + GAP);
    });
  return [
    layOut(
      columns.map((column) => column.title),
      () => 'bold',
    ),
    ...rows.map((row, i) => layOut(texts[i] ?? [], (column) => column.style?.(row) ?? 'plain')),
  ];
}

/** Prints a table, or `empty` when there is no row. Cut to the terminal's width only when there is a terminal. */
export function printTable<Row>(
  terminal: Terminal,
  columns: readonly Column<Row>[],
  rows: readonly Row[],
  empty: string,
): void {
  if (rows.length === 0) {
    terminal.line(paint('dim', empty));
    return;
  }
  const columnsMax = terminal.isTTY ? terminal.columns : Number.POSITIVE_INFINITY;
  for (const spans of layOutTable(columns, rows, columnsMax)) terminal.line(...spans);
}
