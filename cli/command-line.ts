import yargs, { type Argv, type Options } from 'yargs';
import { asFault, EXIT, exitCodeOf, Fault } from '../abi/errno.js';
import { SESSION_ID, SESSION_ID_FORM } from '../abi/session-id.js';
import { COMMAND_TABLE, type CommandRow, EXAMPLES } from './command-table.js';
import { CommandArguments, type CommandContext } from './context.js';
import type { EnsureOptions } from './daemon.js';
import { resolveHome } from './home.js';
import type { Io } from './io.js';
import { EXIT_CODE_ROWS, printFault } from './view/fault-view.js';

export interface CommandLineParts {
  readonly version: string;
  readonly io: Io;
  readonly start?: EnsureOptions;
}

const HELP_COLUMNS = 100;

/** What the parser decided: a command to run, or a text to print. */
interface Chosen {
  row: CommandRow | null;
  values: Readonly<Record<string, unknown>>;
  output: string;
}

function epilogue(): string {
  const codes = EXIT_CODE_ROWS.map(({ code, meaning }) => `  ${String(code).padStart(3)}  ${meaning}`);
  const home = 'The home is --home, else ASTRID_HOME, else ~/.astrid. NO_COLOR is honoured.';
  return ['Exit codes:', ...codes, '', home].join('\n');
}

function addCommands(parser: Argv, rows: readonly CommandRow[], chosen: Chosen): void {
  for (const row of rows) {
    parser.command(
      row.syntax,
      row.summary,
      (argv) => configure(argv, row, chosen),
      (values) => {
        chosen.row = row;
        chosen.values = values;
      },
    );
  }
}

function configure(parser: Argv, row: CommandRow, chosen: Chosen): Argv {
  for (const [name, positional] of Object.entries(row.positionals ?? {})) parser.positional(name, positional);
  for (const [name, option] of Object.entries(row.options ?? {})) parser.option(name, option);
  if (row.children !== undefined) {
    addCommands(parser, row.children, chosen);
    parser.demandCommand(1, 1, `name one of: ${row.children.map(nameOf).join(', ')}`);
  }
  return parser;
}

function nameOf(row: CommandRow): string {
  const syntax = typeof row.syntax === 'string' ? row.syntax : (row.syntax[0] ?? '');
  return syntax.split(' ')[0] ?? '';
}

/** The parser's words for what is wrong, in ours: what it is, spelled as it was typed. */
function explainMisuse(message: string | null, argv: readonly string[]): string {
  const unknown = /^Unknown (?:arguments?|commands?): (.+)$/.exec(message ?? '')?.[1];
  if (unknown !== undefined) {
    const words = unknown.split(', ').map((word) => {
      if (argv.includes(word)) return `unknown command or argument ${JSON.stringify(word)}`;
      return `unknown option ${dashed(word)}`;
    });
    return words.join(', ');
  }
  const got = /^Not enough non-option arguments: got (\d+)/.exec(message ?? '')?.[1];
  if (got !== undefined) return `${missingArgument(argv, Number(got))} is missing`;
  const valueless = /^Not enough arguments following: (.+)$/.exec(message ?? '')?.[1];
  if (valueless !== undefined) return `${dashed(valueless)} needs a value`;
  return message ?? 'wrong use';
}

function dashed(option: string): string {
  return `${option.length === 1 ? '-' : '--'}${option}`;
}

/** The argument that comes after so many, as the help writes it. */
function missingArgument(argv: readonly string[], got: number): string {
  const { row } = findCommand(argv);
  const syntax = typeof row?.syntax === 'string' ? row.syntax : (row?.syntax[0] ?? '');
  return syntax.match(/<[^>]+>/g)?.[got] ?? 'an argument';
}

/** What the parser takes without a word: an option that wants a value and got an empty one, and a yes or no that got another word. */
function checkValues(argv: readonly string[], { row, values }: Chosen): void {
  const options: Readonly<Record<string, Options>> = { ...GLOBAL_OPTIONS, ...row?.options };
  for (const [name, { type, requiresArg }] of Object.entries(options)) {
    if (type === 'string' && requiresArg === true && values[name] === '')
      throw new Fault('invalid_argument', `--${name} must not be empty`, { field: name });
  }
  const { session } = values;
  if (typeof session === 'string' && !SESSION_ID.test(session)) {
    const message = `--session must be ${SESSION_ID_FORM}, not ${JSON.stringify(session)}`;
    throw new Fault('invalid_argument', message, { field: 'session' });
  }
  const end = argv.indexOf('--');
  for (const word of end < 0 ? argv : argv.slice(0, end)) {
    const [, typed = '', value = ''] = /^--?([a-z][a-z-]*)=(.*)$/s.exec(word) ?? [];
    const name = Object.keys(options).find((one) => one === typed || options[one]?.alias === typed);
    if (name === undefined || options[name]?.type !== 'boolean' || value === 'true' || value === 'false') continue;
    throw new Fault('invalid_argument', `--${name} takes no value, not ${JSON.stringify(value)}`, { field: name });
  }
}

/** The help that lists what could have been meant: that of the command whose name begins the line. */
function helpLineFor(argv: readonly string[]): string {
  return ['astrid', ...findCommand(argv).words, '--help'].join(' ');
}

/** The command whose name begins the line. */
function findCommand(argv: readonly string[]): { readonly words: readonly string[]; readonly row: CommandRow | null } {
  const words: string[] = [];
  let row: CommandRow | null = null;
  let rows: readonly CommandRow[] | undefined = COMMAND_TABLE;
  for (const word of argv) {
    const next: CommandRow | undefined = rows?.find((one) => nameOf(one) === word);
    if (next === undefined) break;
    words.push(word);
    row = next;
    rows = next.children;
  }
  return { words, row };
}

const GLOBAL_OPTIONS: Readonly<Record<string, Options>> = {
  home: { type: 'string', requiresArg: true, global: true, describe: 'the Astrid home' },
  json: { type: 'boolean', global: true, describe: 'results as JSON' },
  color: { type: 'boolean', default: true, global: true, describe: 'colours; --no-color turns them off' },
};

function makeParser(argv: readonly string[], version: string, chosen: Chosen): Argv {
  const parser = yargs()
    .scriptName('astrid')
    .usage('astrid <command>\nastrid -p TEXT\n\nRun an agent, and the tools it uses, without having to trust them.')
    .options(GLOBAL_OPTIONS)
    .example(EXAMPLES.map(([line, text]): [string, string] => [`$ ${line}`, text]))
    .epilogue(epilogue())
    .locale('en')
    .parserConfiguration({ 'boolean-negation': true, 'camel-case-expansion': false, 'strip-aliased': true })
    .strict()
    .strictCommands()
    .help()
    .alias('help', 'h')
    .version(version)
    .wrap(HELP_COLUMNS)
    .exitProcess(false)
    .showHelpOnFail(false)
    .fail((message: string | null, error?: Error) => {
      // An error of the parser's own (a value that is missing) is a wrong call; any other is what a command failed with.
      if (error !== undefined && error.name !== 'YError') throw error;
      const text = explainMisuse(message ?? error?.message ?? null, argv);
      throw new Fault('invalid_argument', `${text}; see: ${helpLineFor(argv)}`);
    });
  addCommands(parser, COMMAND_TABLE, chosen);
  return parser;
}

async function choose(argv: readonly string[], version: string): Promise<Chosen> {
  const chosen: Chosen = { row: null, values: {}, output: '' };
  const parser = makeParser(argv, version, chosen);
  await parser.parseAsync([...argv], {}, (error, _values, output) => {
    if (error) throw error;
    chosen.output = output;
  });
  const named = chosen.row?.syntax !== '$0' || chosen.values['prompt'] !== undefined;
  if (chosen.output === '' && !named) {
    throw new Fault('invalid_argument', 'name a command, or give a prompt with -p; see: astrid --help');
  }
  if (chosen.output === '') checkValues(argv, chosen);
  return chosen;
}

/** Parses and runs one command line. Returns the exit code; every failure has been printed by then. */
export async function runCommandLine(argv: readonly string[], parts: CommandLineParts): Promise<number> {
  const { io } = parts;
  try {
    const chosen = await choose(argv, parts.version);
    const load = chosen.row?.load;
    if (chosen.output !== '' || load === undefined) {
      io.out.write(`${chosen.output}\n`);
      return EXIT.ok;
    }
    const args = new CommandArguments(chosen.values);
    const context: CommandContext = {
      io,
      homePath: resolveHome(args.text('home'), io.env, io.cwd),
      json: args.flag('json'),
      ...(parts.start === undefined ? {} : { start: parts.start }),
    };
    return await (await load())(context, args);
  } catch (error) {
    const fault = asFault(error);
    printFault(io.err, fault);
    return exitCodeOf(fault.code);
  }
}
