const LINE_CHARS_MAX = 160;

/** The line of a mistake with a mark below it, to be appended to the message; empty when there is no line to show. */
export function frameAt(text: string | undefined, line: number, column: number): string {
  if (text === undefined || text.trim() === '') return '';
  const gutter = `  ${line} | `;
  // A tab stays a tab in the line of the mark, so that the two stand below each other wherever they are shown.
  const from = column > LINE_CHARS_MAX ? column - LINE_CHARS_MAX / 2 : 0;
  const shown = text.slice(from, from + LINE_CHARS_MAX).trimEnd();
  const indent = text.slice(from, column - 1).replace(/[^\t]/g, ' ');
  return `\n${gutter}${shown}\n${' '.repeat(gutter.length - 2)}| ${indent}^`;
}
