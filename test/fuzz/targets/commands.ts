import fc from 'fast-check';
import { LIMITS } from '../../../abi/limits.js';
import { commandCovered, parseCommand, quoteCommand } from '../../../supervisor/syscalls/command.js';
import { answerOf, type FuzzTarget, property } from '../target.js';

const word = fc.oneof(
  fc.constantFrom(
    'git',
    'status',
    '-s',
    '/usr/bin/git',
    './git',
    '../git',
    'a',
    'ab',
    '',
    ' ',
    ';',
    '|',
    '$(x)',
    '`',
    '&&',
    '>',
    '"',
    "'",
    '\\',
    '\n',
    '\0',
    '*',
    '~',
    'é',
  ),
  fc.string({ unit: 'binary', maxLength: 6 }),
);
const words = fc.array(word, { maxLength: 5 });
const line = fc.tuple(words, fc.constantFrom(' ', '  ', '\t', '\u00a0', '')).map(([parts, gap]) => parts.join(gap));
const plain = fc.constantFrom('git', 'gi', 'status', 'stat', '-s', '', 'a b', '/bin/ls', '__proto__');
const entries = fc.array(
  fc.oneof(
    fc.array(plain, { maxLength: 3 }).map((parts) => parts.join(' ')),
    line,
    fc.jsonValue(),
  ),
  { maxLength: 3 },
);

/** An entry allows a command when, set side by side, no word of the entry differs and it has at least one. */
function oracle(list: readonly unknown[], argv: readonly string[]): boolean {
  for (const entry of list) {
    if (typeof entry !== 'string') continue;
    const wanted = entry.replaceAll(/ +/g, ' ').replace(/^ /, '').replace(/ $/, '');
    if (wanted === '') continue;
    const count = wanted.split(' ').length;
    if (argv.length >= count && JSON.stringify(argv.slice(0, count)) === JSON.stringify(wanted.split(' '))) return true;
  }
  return false;
}

/** The words of a quoted line, read as it says it is written: plain, or as a JSON string. */
function unquote(text: string): string[] {
  const found = text.matchAll(/"(?:[^"\\]|\\.)*"|[^ "]+/g);
  return [...found].map(([one]) => (one.startsWith('"') ? (JSON.parse(one) as string) : one));
}

const SHELL = /[;&|<>$`"'\\*?~#!(){}[\]\t\r\n\0]/;

export const COMMANDS: FuzzTarget = [
  property(
    'any request, is words for execve or a Fault, and cmd never holds what a shell reads',
    5000,
    fc.tuple(line, words),
    ([cmd, args]) => {
      const argv = answerOf(['invalid_argument', 'too_large'], () => parseCommand(cmd, args));
      if (argv === null) return true;
      const own = argv.slice(0, argv.length - args.length);
      const bytes = argv.reduce((sum, one) => sum + Buffer.byteLength(one) + 1, 0);
      const isPlain = !own.some((one) => SHELL.test(one) || one === '') && !argv.some((one) => one.includes('\0'));
      return isPlain && argv.slice(own.length).join('\0') === args.join('\0') && bytes <= LIMITS.processCommandBytesMax;
    },
  ),
  property('a program, is a name or an absolute path with no way up', 3000, fc.tuple(line, words), ([cmd, args]) => {
    const program = answerOf(['invalid_argument', 'too_large'], () => parseCommand(cmd, args))?.[0];
    if (program === undefined) return true;
    return !program.startsWith('-') && (!program.includes('/') || /^(\/(?!\.{0,2}(\/|$))[^/]+)+$/.test(program));
  }),
  property(
    'coverage, agrees with the naive oracle',
    5000,
    fc.tuple(entries, fc.array(fc.oneof(plain, word), { minLength: 1, maxLength: 5 })),
    ([list, argv]) => commandCovered(list, argv) === oracle(list, argv),
  ),
  property(
    'a quoted command, is one line from which the words come back',
    3000,
    fc.array(word, { minLength: 1, maxLength: 6 }),
    (argv) => {
      const text = quoteCommand(argv);
      return !/[\n\r\0]/.test(text) && JSON.stringify(unquote(text)) === JSON.stringify(argv);
    },
  ),
];
