import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { Fault } from '../../abi/errno.js';

export interface ChildRun {
  /** Compiled program below this package, relative to `dist/`. */
  readonly program: string;
  readonly nodeFlags?: readonly string[];
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly onLine: (line: string) => void;
  /** Gives the child's end to whoever may interrupt it. */
  readonly onStart?: (interrupt: () => void) => void;
}

/** Runs one of our own programs to its end and gives its exit code; 1 when a signal ended it. Fault `io_error`. */
export function runChildProgram(run: ChildRun): Promise<number> {
  const main = fileURLToPath(new URL(`../../${run.program}`, import.meta.url));
  const child = spawn(process.execPath, [...(run.nodeFlags ?? []), main, ...run.args], {
    env: { ...run.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  run.onStart?.(() => void child.kill('SIGTERM'));
  for (const stream of [child.stdout, child.stderr]) createInterface({ input: stream }).on('line', run.onLine);
  return new Promise((resolve, reject) => {
    child.once('error', (cause) => reject(new Fault('io_error', `cannot start node: ${cause.message}`, { cause })));
    child.once('close', (code) => resolve(code ?? 1));
  });
}
