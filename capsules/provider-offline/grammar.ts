/**
 * The plain requests the provider understands, as a table: a pattern for the sentence and the tool call it means.
 * Sentences come here lower and upper case mixed, without politeness and end marks, with every quoted string replaced
 * by a mark (see `quotes.ts`), so a pattern never meets the words that somebody wants to have written to a file.
 */
export interface Step {
  readonly tool: string;
  readonly args: Readonly<Record<string, unknown>>;
  /** Completes "I was asked to …". */
  readonly label: string;
}

/** Turns a mark back into its text; anything else is itself. */
type Resolve = (token: string | undefined) => string;

interface Rule {
  readonly pattern: RegExp;
  /** Null when the sentence is not this one after all. */
  build(groups: readonly (string | undefined)[], text: Resolve): Step | null;
}

const PATH = String.raw`(\x01\d+\x01|[^\s\x01]+)`;
const TEXT = String.raw`(\x01\d+\x01|.+?)`;
const QUOTED = String.raw`(\x01\d+\x01)`;

const rule = (source: string, build: Rule['build']): Rule => ({ pattern: new RegExp(`^(?:${source})$`, 'is'), build });

const HERE = new Set(['', '.', './', 'here', 'workspace', 'the workspace', 'this directory', 'this folder']);

const list: Rule['build'] = ([dir], text) => {
  const path = text(dir);
  const dir_path = HERE.has(path.toLowerCase()) ? '' : path;
  return { tool: 'list_directory', args: { dir_path }, label: `list ${dir_path === '' ? 'the workspace' : dir_path}` };
};

const read: Rule['build'] = ([file], text) => ({
  tool: 'read_file',
  args: { file_path: text(file) },
  label: `read ${text(file)}`,
});

const readLines: Rule['build'] = ([first, last, file], text) => ({
  tool: 'read_file',
  args: { file_path: text(file), start_line: Number(first), end_line: Number(last ?? first) },
  label: `read lines of ${text(file)}`,
});

const write = (content: string, file: string): Step => ({
  tool: 'write_file',
  args: { file_path: file, content },
  label: `write to ${file}`,
});

const append: Rule['build'] = ([content, file], text) => ({
  tool: 'write_file',
  args: { file_path: text(file), content: text(content), append: true },
  label: `append to ${text(file)}`,
});

const replace: Rule['build'] = ([before, after, file], text) => ({
  tool: 'replace_in_file',
  args: { file_path: text(file), old_string: text(before), new_string: text(after) },
  label: `replace text in ${text(file)}`,
});

const search: Rule['build'] = ([pattern, dir], text) => {
  const path = text(dir);
  const where = HERE.has(path.toLowerCase()) ? {} : { dir_path: path };
  return { tool: 'grep_search', args: { pattern: text(pattern), ...where }, label: `search for ${text(pattern)}` };
};

const makeDirectory: Rule['build'] = ([dir], text) => ({
  tool: 'create_directory',
  args: { dir_path: text(dir) },
  label: `make the directory ${text(dir)}`,
});

const remove: Rule['build'] = ([file], text) => ({
  tool: 'delete_file',
  args: { file_path: text(file) },
  label: `delete ${text(file)}`,
});

const move: Rule['build'] = ([from, to], text) => ({
  tool: 'move_file',
  args: { source_path: text(from), destination_path: text(to) },
  label: `move ${text(from)} to ${text(to)}`,
});

/** Any tool by its name: a capsule that somebody just installed has no words of its own here. */
const callByName: Rule['build'] = ([tool = '', mark], text) => {
  const args = mark === undefined ? {} : readArguments(text(mark));
  return args === null ? null : { tool, args, label: `use ${tool}` };
};

/** Null for a quotation that is no JSON object: a mark may hold either. */
function readArguments(text: string): Step['args'] | null {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Step['args']) : null;
  } catch {
    return null;
  }
}

/** In order: the first pattern that fits wins, so the narrow ones stand before the wide ones. */
export const RULES: readonly Rule[] = [
  rule(String.raw`use(?: the)?(?: tool)? ([\w:-]{1,64})(?:(?: with)? (\x01\d+\x01))?`, callByName),
  rule('ls|dir|list', list),
  rule(
    '(?:list|ls|show(?: me)?|give me)(?: all)?(?: the| my)? (?:files|directory|folder|contents|entries)(?: (?:here|there|in the workspace|in this (?:directory|folder)))?',
    list,
  ),
  rule(
    `(?:list|ls|show(?: me)?)(?: all)?(?: the)?(?: files| contents| entries| directory| folder)? (?:in|of|inside|under|below)(?: the)?(?: directory| folder)? ${PATH}(?: directory| folder)?`,
    list,
  ),
  rule(`(?:what|which) files (?:are|exist|do you see|do we have)(?: there| here| in(?: the)? ${PATH})?`, list),
  rule(`(?:ls|dir|list)(?: the)?(?: directory| folder)? ${PATH}`, list),
  rule(
    `(?:read|show|print)(?: me)? lines? (\\d{1,9})(?: ?(?:-|to|through) ?(\\d{1,9}))? (?:of|in|from)(?: the)?(?: file)? ${PATH}`,
    readLines,
  ),
  rule(`(?:read|cat|show|print|open|display)(?: me)?(?: the)?(?: contents? of)?(?: the)?(?: file)? ${PATH}`, read),
  rule(`(?:append|add) ${TEXT} to(?: the)?(?: end of)?(?: the)?(?: file)? ${PATH}`, append),
  rule(`(?:write|put|save) ${TEXT} (?:to|into|in)(?: the)?(?: file)? ${PATH}`, ([content, file], text) =>
    write(text(content), text(file)),
  ),
  rule(
    `(?:create|make|write)(?: a| the)?(?: new)?(?: file)?(?: called| named)? ${PATH} (?:with|containing)(?: the)?(?: text| content)? ${QUOTED}`,
    ([file, content], text) => write(text(content), text(file)),
  ),
  rule(`(?:replace|change) ${TEXT} (?:with|by|to) ${TEXT} in(?: the)?(?: file)? ${PATH}`, replace),
  rule(
    `(?:search|grep|look|find)(?: for)? ${TEXT}(?: here| (?:in|below|under)(?: the)?(?: directory| folder| file)? ${PATH})?`,
    search,
  ),
  rule(`(?:make|create|add)(?: a| the)?(?: new)? (?:directory|folder|dir)(?: called| named)? ${PATH}`, makeDirectory),
  rule(`mkdir(?: -p)? ${PATH}`, makeDirectory),
  rule(`(?:delete|remove|rm)(?: the)?(?: file| directory| folder)? ${PATH}`, remove),
  rule(`(?:move|rename|mv)(?: the)?(?: file)? ${PATH}(?: to| as)? ${PATH}`, move),
];

export const HELP =
  /^(?:help|\?|commands|what can (?:you|i) (?:do|say|ask)|what do you (?:do|understand)|how does this work)$/i;
export const WHO = /^(?:who are you|what are you|which model are you|what model (?:are you|is this)|hello|hi|hey)$/i;
