import { SCRIPT_FILE } from './adaptor-layout.js';

const BASE64 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
const POSITION = new RegExp(`\\(?\\b${SCRIPT_FILE.replace('.', '\\.')}:(\\d+)(?::(\\d+))?\\)?`, 'g');

/** Where a piece of the script came from; lines and columns count from 0, as in the map. */
interface Segment {
  readonly column: number;
  readonly source: number;
  readonly sourceLine: number;
  readonly sourceColumn: number;
}

interface DecodedMap {
  readonly sources: readonly string[];
  /** By line of the script, in order of column. */
  readonly lines: readonly (readonly Segment[])[];
}

/** A place in an author's file, counted from 1. */
export interface SourcePlace {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

/**
 * Replaces each position in the script by the author's file, line and column. What is no such position, or has no
 * counterpart in the map, stays as it is; so does everything when the map is none (a stack is shown either way).
 */
export function mapStack(stack: string, sourceMap: string): string {
  const map = decodeMap(sourceMap);
  if (map === null) return stack;
  return stack.replace(POSITION, (text: string, line: string, column: string | undefined) => {
    const place = findPlace(map, Number(line), Number(column ?? '1'));
    if (place === null) return text;
    const mapped = `${place.file}:${place.line}:${place.column}`;
    return text.startsWith('(') ? `(${mapped})` : mapped;
  });
}

/** The first place in an author's file that a stack names, or null. */
export function firstPlace(stack: string, sourceMap: string): SourcePlace | null {
  const map = decodeMap(sourceMap);
  if (map === null) return null;
  for (const match of stack.matchAll(POSITION)) {
    const place = findPlace(map, Number(match[1]), Number(match[2] ?? '1'));
    if (place !== null) return place;
  }
  return null;
}

/**
 * QuickJS counts columns from 1, and for the call of a plain name it gives the token before the name: in `a;f()` the
 * semicolon, which belongs to the statement before. The script has no spaces, so the character after the position is
 * the name in that case, and still the same token in the others.
 */
function findPlace(map: DecodedMap, line: number, column: number): SourcePlace | null {
  const segments = map.lines[line - 1] ?? [];
  let low = 0;
  let high = segments.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((segments[middle]?.column ?? 0) <= column) low = middle + 1;
    else high = middle;
  }
  const segment = segments[low - 1];
  const file = segment === undefined ? undefined : map.sources[segment.source];
  if (segment === undefined || file === undefined) return null;
  return { file, line: segment.sourceLine + 1, column: segment.sourceColumn + 1 };
}

/** Reads a source map of version 3; null for anything else. Source: ECMA-426, section 9. */
function decodeMap(text: string): DecodedMap | null {
  let raw: { version?: unknown; sources?: unknown; mappings?: unknown } | null;
  try {
    raw = JSON.parse(text);
  } catch {
    return null;
  }
  if (raw?.version !== 3 || !Array.isArray(raw.sources) || typeof raw.mappings !== 'string') return null;
  const sources = raw.sources.map((source: unknown) => (typeof source === 'string' ? source : '?'));
  return { sources, lines: decodeMappings(raw.mappings) };
}

/** Fields of a segment are differences to the last one; columns start again with each line. */
function decodeMappings(mappings: string): Segment[][] {
  let source = 0;
  let sourceLine = 0;
  let sourceColumn = 0;
  return mappings.split(';').map((line) => {
    let column = 0;
    const segments: Segment[] = [];
    for (const text of line.split(',')) {
      const fields = decodeVlq(text);
      column += fields[0] ?? 0;
      if (fields.length < 4) continue;
      source += fields[1] ?? 0;
      sourceLine += fields[2] ?? 0;
      sourceColumn += fields[3] ?? 0;
      segments.push({ column, source, sourceLine, sourceColumn });
    }
    return segments;
  });
}

/** Base64 digits of 5 bits, lowest first; the sixth bit says that more follow, the lowest of the number is its sign. */
function decodeVlq(text: string): number[] {
  const numbers: number[] = [];
  let value = 0;
  let shift = 0;
  for (const letter of text) {
    const digit = BASE64.indexOf(letter);
    if (digit === -1) return [];
    value += (digit & 31) * 2 ** shift;
    shift += 5;
    if ((digit & 32) !== 0) continue;
    const magnitude = Math.floor(value / 2);
    numbers.push(value % 2 === 1 ? -magnitude : magnitude);
    value = 0;
    shift = 0;
  }
  return numbers;
}
