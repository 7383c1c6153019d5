import type { Readable, Writable } from 'node:stream';
import type { Terminal } from './view/terminal.js';

/** Standard input as the CLI uses it: maybe a terminal. */
export interface InputStream extends Readable {
  readonly isTTY?: boolean;
  setRawMode?(on: boolean): unknown;
}

/** Everything a command touches outside the home. Handed in, so that a test can be the terminal. */
export interface Io {
  readonly stdin: InputStream;
  readonly out: Terminal;
  readonly err: Terminal;
  /** Where the line editor echoes what the user types: standard output. */
  readonly editorOutput: Writable;
  /** Silence of the keyboard before an approval takes an answer; a test makes it short. */
  readonly keyQuietMs?: number;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Absolute path of the workspace: the directory the command was called in. */
  readonly cwd: string;
  readonly now: () => number;
  /** Called when the user interrupts (Ctrl-C, SIGTERM); returns the way to stop listening. */
  readonly onInterrupt: (handler: () => void) => () => void;
}

/** A person can be asked: they can type, and they see what is asked. */
export function isInteractive(io: Io): boolean {
  return io.stdin.isTTY === true && io.out.isTTY;
}
