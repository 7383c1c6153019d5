import { readFile } from 'node:fs/promises';
import { relative, resolve } from 'node:path';
import type { Fault } from '../../abi/errno.js';
import { paint, type Terminal } from '../view/terminal.js';

const AROUND = 2;
const PLACE = /^(?:.*?\s\()?([^\s:()][^:()]*):(\d+):(\d+)\b/;
const FRAMES_MAX = 5;
/** The frame of one line that a build's own message holds: dropped where a longer one stands in its place. */
const OWN_FRAME = /^ +(?:\d+ )?\| /;

/** Lines of a file around a place, with a mark below its column. Empty when the file cannot be read. */
export async function frameOf(dir: string, file: string, line: number, column: number): Promise<string[]> {
  const path = resolve(dir, file);
  // Only what belongs to the capsule is shown: the text of an error may name any file.
  if (relative(dir, path).startsWith('..')) return [];
  const text = await readFile(path, 'utf8').catch(() => '');
  const lines = text.split('\n');
  if (line < 1 || line > lines.length) return [];
  const from = Math.max(1, line - AROUND);
  const to = Math.min(lines.length, line + AROUND);
  const width = String(to).length;
  return Array.from({ length: to - from + 1 }, (_, index) => from + index).flatMap((number) => {
    const row = `${number === line ? '>' : ' '} ${String(number).padStart(width)} | ${lines[number - 1] ?? ''}`;
    return number === line ? [row, `  ${' '.repeat(width)} | ${' '.repeat(Math.max(0, column - 1))}^`] : [row];
  });
}

/** Prints a build error as `file:line:column: text`, each with its lines of source. */
export async function printBuildFault(terminal: Terminal, dir: string, fault: Fault): Promise<void> {
  let frames = 0;
  let isFramed = false;
  for (const line of fault.message.split('\n')) {
    if (isFramed && OWN_FRAME.test(line)) continue;
    isFramed = false;
    terminal.line(paint('red', line));
    const place = PLACE.exec(line);
    if (place === null || frames === FRAMES_MAX) continue;
    const [, file = '', row = '', column = ''] = place;
    const frame = await frameOf(dir, file, Number(row), Number(column));
    isFramed = frame.length > 0;
    if (isFramed) frames++;
    for (const text of frame) terminal.line(paint('dim', text));
  }
}
