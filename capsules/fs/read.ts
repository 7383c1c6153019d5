import * as fs from 'astrid/sdk/fs';
import { s } from 'astrid/sdk/schema';
import { ToolError, tool } from 'astrid/sdk/tool';
import { guestPath, joinPath, readText, shownPath } from './path.js';

/** Bounds of one answer: what a model can use, and what fits a conversation. */
const TEXT_CHARS_MAX = 256 * 1024;
const NAMES_MAX = 1000;

export const readFile = tool({
  name: 'read_file',
  description:
    'Read a text file. Gives its content as it is; with start_line or end_line only those lines (from 1, both included). ' +
    'At most 262144 characters; a note at the end says when there is more.',
  mutable: false,
  input: s.object({
    file_path: s.string('Path of the file, relative to the workspace'),
    start_line: s.integer('First line, from 1', { min: 1 }).optional(),
    end_line: s.integer('Last line, included', { min: 1 }).optional(),
  }),
  handler: ({ file_path, start_line, end_line }) => {
    const text = readText(guestPath(file_path));
    if (start_line === undefined && end_line === undefined) return cutText(text);
    const first = start_line ?? 1;
    const last = end_line ?? Number.MAX_SAFE_INTEGER;
    if (last < first) throw new ToolError(`invalid_argument: end_line ${last} is before start_line ${first}`);
    const lines = text.split('\n');
    if (lines.at(-1) === '') lines.pop();
    if (first > lines.length) {
      throw new ToolError(
        `invalid_argument: ${shownPath(file_path)} has ${lines.length} lines, start_line is ${first}`,
      );
    }
    return cutText(lines.slice(first - 1, last).join('\n'));
  },
});

export const listDirectory = tool({
  name: 'list_directory',
  description:
    'List a directory, one entry a line, sorted; directories end in "/", files show their size. At most 1000 entries.',
  mutable: false,
  input: s.object({ dir_path: s.string('Path of the directory; empty for the workspace').default('') }),
  handler: ({ dir_path }) => {
    const directory = guestPath(dir_path);
    const names = fs.readdir(directory).sort(compareNames);
    if (names.length === 0) return `${shownPath(dir_path)} is empty`;
    const lines = names.slice(0, NAMES_MAX).map((name) => describeEntry(directory, name));
    if (names.length > NAMES_MAX) lines.push(`[${names.length - NAMES_MAX} more entries are not shown]`);
    return lines.join('\n');
  },
});

/** By code unit: the same order everywhere, which a locale would not give. */
export function compareNames(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

function describeEntry(directory: string, name: string): string {
  try {
    const entry = fs.stat(joinPath(directory, name));
    return entry.isDirectory ? `${oneLine(name)}/` : `${oneLine(name)}  ${entry.size} bytes`;
  } catch {
    // Gone since it was listed, or a link that leads out: the name is still true.
    return `${oneLine(name)}  (cannot be read)`;
  }
}

/** A name may hold a newline; one entry must stay one line. */
function oneLine(name: string): string {
  return /[\x00-\x1f\x7f]/.test(name) ? JSON.stringify(name) : name;
}

function cutText(text: string): string {
  if (text.length <= TEXT_CHARS_MAX) return text;
  const kept = text.slice(0, TEXT_CHARS_MAX);
  return `${kept}\n[${text.length - TEXT_CHARS_MAX} more characters are not shown; ask for lines with start_line]`;
}
