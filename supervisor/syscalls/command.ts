import { Fault } from '../../abi/errno.js';
import { LIMITS } from '../../abi/limits.js';

/** A program and its arguments, as they are given to execve(2). Never a line for a shell. */
export type Argv = readonly [string, ...string[]];

/** What means something to a shell and nothing to us: whoever writes it into `cmd` expects a shell. */
const SHELL_TEXT = /[^\p{L}\p{N} @%+=:,./_^-]/u;
const PLAIN_WORD = /^[A-Za-z0-9@%+=:,./_^-]+$/;

/**
 * `cmd` and `args` of a request as one list of words. `cmd` may hold several words, separated by spaces (upstream's capsules
 * give the whole command there); it has no quotes and no operators. `args` are taken as they are, whatever is in them.
 */
export function parseCommand(cmd: string, args: readonly string[]): Argv {
  if (SHELL_TEXT.test(cmd)) {
    const message = 'cmd: expected a program, or words separated by spaces; there is no shell, give arguments in args';
    throw new Fault('invalid_argument', message, { field: 'cmd' });
  }
  const [program, ...rest] = cmd.split(' ').filter((word) => word !== '');
  if (program === undefined) throw new Fault('invalid_argument', 'cmd: expected a program', { field: 'cmd' });
  if (program.startsWith('-')) {
    throw new Fault('invalid_argument', 'cmd: expected a program, not an option', { field: 'cmd' });
  }
  if (program.includes('/') && !isPlainAbsolute(program)) {
    const message = 'cmd: expected a name or an absolute path without `.` or `..`';
    throw new Fault('invalid_argument', message, { field: 'cmd' });
  }
  const argv: Argv = [program, ...rest, ...args];
  if (argv.some((word) => word.includes('\0')))
    throw new Fault('invalid_argument', 'args: a NUL byte cannot be given to a program', { field: 'args' });
  const bytes = argv.reduce((sum, word) => sum + Buffer.byteLength(word) + 1, 0);
  if (bytes > LIMITS.processCommandBytesMax) {
    const message = `args: the command has ${bytes} bytes, at most ${LIMITS.processCommandBytesMax} are allowed`;
    throw new Fault('too_large', message, { field: 'args' });
  }
  return argv;
}

function isPlainAbsolute(path: string): boolean {
  const [root, ...names] = path.split('/');
  return root === '' && names.every((name) => name !== '' && name !== '.' && name !== '..');
}

/**
 * Whether the manifest allows the command: some entry's words are its first words. So `git status` allows `git` with the
 * arguments `status …`, and neither `git` alone, nor `git statusx`, nor `/tmp/git status`.
 */
export function commandCovered(entries: readonly unknown[], argv: readonly string[]): boolean {
  return entries.some((entry) => {
    if (typeof entry !== 'string') return false;
    const words = entry.split(' ').filter((word) => word !== '');
    return words.length > 0 && words.every((word, index) => argv[index] === word);
  });
}

/** One line for people and the log from which the words can be told apart again, whatever is in them. */
export function quoteCommand(argv: readonly string[]): string {
  return argv.map((word) => (PLAIN_WORD.test(word) ? word : JSON.stringify(word))).join(' ');
}
