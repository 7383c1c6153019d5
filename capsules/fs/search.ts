import * as fs from 'astrid/sdk/fs';
import { s } from 'astrid/sdk/schema';
import { isSystemError } from 'astrid/sdk/system-error';
import { ToolError, tool } from 'astrid/sdk/tool';
import { guestPath, joinPath, shownPath } from './path.js';
import { compareNames } from './read.js';

const HITS_MAX = 200;
const LINE_CHARS_MAX = 200;
const FILES_MAX = 5000;
const DEPTH_MAX = 32;
const FILE_BYTES_MAX = 1024 * 1024;
const TOTAL_BYTES_MAX = 32 * 1024 * 1024;
/** Directories that hold other people's or generated files; a search that names one of them goes in. */
const SKIPPED = new Set(['.git', 'node_modules']);

interface Search {
  readonly needle: string;
  readonly ignoreCase: boolean;
  readonly hits: string[];
  files: number;
  bytes: number;
  skipped: number;
  /** Why the search ended early, or null. */
  stopped: string | null;
}

/**
 * Plain text, not a regular expression: the pattern comes from a model, and one that backtracks would hold this capsule
 * until the kernel kills it.
 */
export const grepSearch = tool({
  name: 'grep_search',
  description:
    'Search the text files below a directory for plain text (not a regular expression). Gives "path:line: text" for ' +
    'each line that contains it, at most 200. Leaves out .git, node_modules, binary files and files over 1 MiB.',
  mutable: false,
  input: s.object({
    pattern: s.string('Text to look for', { minLength: 1, maxLength: 1000 }),
    dir_path: s.string('Directory or file to search; empty for the workspace').default(''),
    ignore_case: s.boolean('Treat upper and lower case alike').default(false),
  }),
  handler: ({ pattern, dir_path, ignore_case }) => {
    if (/[\r\n]/.test(pattern)) throw new ToolError('invalid_argument: pattern: expected one line');
    const needle = ignore_case ? pattern.toLowerCase() : pattern;
    const search: Search = { needle, ignoreCase: ignore_case, hits: [], files: 0, bytes: 0, skipped: 0, stopped: null };
    const root = guestPath(dir_path);
    const { isDirectory, size } = fs.stat(root);
    if (isDirectory) searchDirectory(search, root, 0);
    else searchFile(search, root, size);
    return report(search, pattern);
  },
});

function searchDirectory(search: Search, directory: string, depth: number): void {
  if (depth > DEPTH_MAX) {
    search.skipped++;
    return;
  }
  for (const name of fs.readdir(directory).sort(compareNames)) {
    if (search.stopped !== null) return;
    if (SKIPPED.has(name)) continue;
    const path = joinPath(directory, name);
    try {
      const { isDirectory, size } = fs.stat(path);
      if (isDirectory) searchDirectory(search, path, depth + 1);
      else searchFile(search, path, size);
    } catch (thrown) {
      // One entry that vanished or may not be read must not end the search; the report counts it.
      if (!isSystemError(thrown)) throw thrown;
      search.skipped++;
    }
  }
}

function searchFile(search: Search, path: string, size: number): void {
  if (size > FILE_BYTES_MAX) {
    search.skipped++;
    return;
  }
  if (search.files >= FILES_MAX) search.stopped = `after ${FILES_MAX} files`;
  else if (search.bytes + size > TOTAL_BYTES_MAX) search.stopped = `after ${TOTAL_BYTES_MAX} bytes`;
  if (search.stopped !== null) return;
  search.files++;
  search.bytes += size;
  const bytes = fs.readFile(path);
  if (bytes.subarray(0, 8192).includes(0)) return;
  const text = new TextDecoder().decode(bytes);
  const compared = search.ignoreCase ? text.toLowerCase() : text;
  // The whole file first: most files have no hit, and one native search is far cheaper than a loop over lines.
  if (!compared.includes(search.needle)) return;
  const shown = text.split('\n');
  const lines = search.ignoreCase ? shown.map((line) => line.toLowerCase()) : shown;
  for (const [index, line] of lines.entries()) {
    if (!line.includes(search.needle)) continue;
    if (search.hits.length >= HITS_MAX) {
      search.stopped = `after ${HITS_MAX} hits`;
      return;
    }
    search.hits.push(`${shownPath(path)}:${index + 1}: ${cutLine(shown[index] ?? '')}`);
  }
}

function cutLine(line: string): string {
  const trimmed = line.trimEnd();
  return trimmed.length > LINE_CHARS_MAX ? `${trimmed.slice(0, LINE_CHARS_MAX)}…` : trimmed;
}

function report(search: Search, pattern: string): string {
  const lines = search.hits.length > 0 ? [...search.hits] : [`No line contains ${JSON.stringify(pattern)}.`];
  if (search.stopped !== null)
    lines.push(`[the search ended ${search.stopped}; name a smaller directory for the rest]`);
  if (search.skipped > 0) lines.push(`[${search.skipped} entries were left out: too large, too deep, or not readable]`);
  return lines.join('\n');
}
