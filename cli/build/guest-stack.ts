/** Positions of the script and of the author's files, as a source map (version 3) has them. */
export interface StackTable {
  readonly script: string;
  readonly sources: readonly string[];
  readonly mappings: string;
}

/** What of a source map a module carries, so that each stack it tells of names the author's lines: in logs and in answers. */
export function makeStackTable(script: string, sourceMap: string): StackTable {
  const map = JSON.parse(sourceMap) as { sources: string[]; mappings: string };
  return { script, sources: map.sources, mappings: map.mappings };
}

/*
 * The function below runs inside QuickJS, from its own source text: it may name what ECMAScript has, and nothing else.
 */

/**
 * A function that replaces each position in the script by file, line and column of the author. The map is read when it is
 * first needed and only as far as needed: it costs some 10 ms, which a capsule that never fails does not pay.
 */
export function makeStackMapper(table: StackTable): (text: string) => string {
  const digits = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
  const known = new Map<string, string>();

  /** Every mapping from the start on is a difference to the one before, so all are walked until the position is passed. */
  const find = (wantedLine: number, wantedColumn: number): string | null => {
    const { mappings } = table;
    const fields = [0, 0, 0, 0];
    let found: string | null = null;
    let line = 1;
    let column = 0;
    let count = 0;
    let value = 0;
    let shift = 0;
    for (let at = 0; at <= mappings.length; at++) {
      const letter = mappings[at] ?? ';';
      if (letter !== ',' && letter !== ';') {
        const digit = digits.indexOf(letter);
        value += (digit & 31) * 2 ** shift;
        shift += 5;
        if ((digit & 32) !== 0) continue;
        const delta = value % 2 === 1 ? -((value - 1) / 2) : value / 2;
        if (count === 0) column += delta;
        else fields[count] = (fields[count] ?? 0) + delta;
        count++;
        value = 0;
        shift = 0;
        continue;
      }
      if (line === wantedLine && count > 0) {
        if (column > wantedColumn) return found;
        const file = count >= 4 ? table.sources[fields[1] as number] : undefined;
        found = file === undefined ? null : `${file}:${(fields[2] as number) + 1}:${(fields[3] as number) + 1}`;
      }
      count = 0;
      if (letter === ';') {
        if (line >= wantedLine) return found;
        line++;
        column = 0;
      }
    }
    return found;
  };

  const position = new RegExp(`\\b${table.script.replace('.', '\\.')}:(\\d+)(?::(\\d+))?`, 'g');
  return (text) =>
    text.replace(position, (all, line: string, column = '1') => {
      const key = `${line}:${column}`;
      const place = known.get(key) ?? find(Number(line), Number(column)) ?? all;
      if (known.size < 256) known.set(key, place);
      return place;
    });
}
