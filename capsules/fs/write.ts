import * as fs from 'astrid/sdk/fs';
import { s } from 'astrid/sdk/schema';
import { isSystemError } from 'astrid/sdk/system-error';
import { ToolError, tool } from 'astrid/sdk/tool';
import { guestPath, readText, shownPath } from './path.js';

/**
 * Tools that change files. The kernel asks the person, and what it answers (`approval_denied`, `approval_queued`,
 * `policy_denied`, `capability_missing`) reaches the model as `code: message`, because nothing here catches it.
 */
export const writeFile = tool({
  name: 'write_file',
  description:
    'Create a file, or replace everything in it. With append true, add to its end instead. Missing directories are made.',
  mutable: true,
  input: s.object({
    file_path: s.string('Path of the file, relative to the workspace'),
    content: s.string('The text to write'),
    append: s.boolean('Add to the end of the file instead of replacing it').default(false),
  }),
  handler: ({ file_path, content, append }) => {
    const path = guestPath(file_path);
    const before = sizeOf(path);
    if (append && before !== null) {
      fs.writeFile(path, readText(path) + content);
      return `Appended ${plural(content.length, 'character')} to ${shownPath(file_path)}`;
    }
    fs.writeFile(path, content);
    const kind = before === null ? 'new file' : `replaced ${plural(before, 'byte')}`;
    return `Wrote ${plural(content.length, 'character')} to ${shownPath(file_path)} (${kind})`;
  },
});

export const replaceInFile = tool({
  name: 'replace_in_file',
  description:
    'Replace text in a file. old_string must occur exactly once, as it stands in the file; with replace_all true, every ' +
    'occurrence is replaced.',
  mutable: true,
  input: s.object({
    file_path: s.string('Path of the file, relative to the workspace'),
    old_string: s.string('The text to replace, exactly', { minLength: 1 }),
    new_string: s.string('The text to put in its place'),
    replace_all: s.boolean('Replace every occurrence').default(false),
  }),
  handler: ({ file_path, old_string, new_string, replace_all }) => {
    const path = guestPath(file_path);
    // split and join, not String.replace: `$&` in the new text must stay text.
    const parts = readText(path).split(old_string);
    const count = parts.length - 1;
    if (count === 0) throw new ToolError(`not_found: old_string does not occur in ${shownPath(file_path)}`);
    if (count > 1 && !replace_all) {
      throw new ToolError(
        `invalid_argument: old_string occurs ${count} times in ${shownPath(file_path)}; give more of its surroundings, or set replace_all`,
      );
    }
    fs.writeFile(path, parts.join(new_string));
    return `Replaced ${plural(count, 'occurrence')} in ${shownPath(file_path)}`;
  },
});

export const createDirectory = tool({
  name: 'create_directory',
  description: 'Make a directory and its missing parents. One that exists already is fine.',
  mutable: true,
  input: s.object({ dir_path: s.string('Path of the directory, relative to the workspace', { minLength: 1 }) }),
  handler: ({ dir_path }) => {
    fs.mkdir(guestPath(dir_path));
    return `Made the directory ${shownPath(dir_path)}`;
  },
});

export const deleteFile = tool({
  name: 'delete_file',
  description: 'Delete one file, or one empty directory.',
  mutable: true,
  input: s.object({ file_path: s.string('Path of the file, relative to the workspace', { minLength: 1 }) }),
  handler: ({ file_path }) => {
    fs.unlink(guestPath(file_path));
    return `Deleted ${shownPath(file_path)}`;
  },
});

/** There is no host call for this: a copy, then a removal, each with its own approval. */
export const moveFile = tool({
  name: 'move_file',
  description: 'Move or rename one file. The destination must not exist yet; directories cannot be moved.',
  mutable: true,
  input: s.object({
    source_path: s.string('Path of the file now', { minLength: 1 }),
    destination_path: s.string('Path it shall have', { minLength: 1 }),
  }),
  handler: ({ source_path, destination_path }) => {
    const source = guestPath(source_path);
    const destination = guestPath(destination_path);
    if (fs.stat(source).isDirectory) throw new ToolError(`is_a_directory: ${shownPath(source_path)} cannot be moved`);
    if (sizeOf(destination) !== null) throw new ToolError(`already_exists: ${shownPath(destination_path)} exists`);
    fs.writeFile(destination, fs.readFile(source));
    try {
      fs.unlink(source);
    } catch (thrown) {
      if (!isSystemError(thrown)) throw thrown;
      throw new ToolError(
        `${thrown.code}: ${shownPath(source_path)} was copied to ${shownPath(destination_path)} but not removed: ${thrown.message}`,
      );
    }
    return `Moved ${shownPath(source_path)} to ${shownPath(destination_path)}`;
  },
});

/** Bytes of a file, or null when nothing is there. */
function sizeOf(path: string): number | null {
  try {
    return fs.stat(path).size;
  } catch (thrown) {
    if (isSystemError(thrown, 'not_found')) return null;
    throw thrown;
  }
}

function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}
