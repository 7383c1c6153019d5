import { execFile } from 'node:child_process';
import { Fault } from '../../abi/errno.js';
import { LIMITS } from '../../abi/limits.js';

const STDERR_CHARS_MAX = 600;

export interface ProgramRun {
  readonly file: string;
  readonly args: readonly string[];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  /** Bytes of standard output that are accepted. */
  readonly outputBytesMax: number;
}

/** Of the environment, what a fetching program needs to be itself: nothing that would change what it fetches. */
export function fetchEnvironment(
  env: Readonly<Record<string, string | undefined>>,
  names: readonly string[],
): Record<string, string> {
  const kept = names.flatMap((name) => (env[name] === undefined ? [] : [[name, env[name]] as const]));
  return { ...Object.fromEntries(kept), LC_ALL: 'C' };
}

/**
 * Runs a program to its end without a shell and without input. It is killed at the deadline.
 * @throws Fault `not_found` (not installed), `timed_out`, `too_large`, `io_error` with its last words
 */
export function runProgram({ file, args, cwd, env, outputBytesMax }: ProgramRun): Promise<Buffer> {
  const options = {
    cwd,
    env,
    encoding: 'buffer' as const,
    timeout: LIMITS.fetchWaitMs,
    killSignal: 'SIGKILL' as const,
    maxBuffer: outputBytesMax,
  };
  return new Promise((resolve, reject) => {
    const child = execFile(file, [...args], options, (error, stdout, stderr) => {
      if (error === null) resolve(stdout);
      else reject(describeFailure(file, error, stderr.toString('utf8')));
    });
    child.stdin?.end();
  });
}

function describeFailure(file: string, error: Error, stderr: string): Fault {
  const code = 'code' in error ? error.code : undefined;
  if (code === 'ENOENT') return new Fault('not_found', `${file} is not installed, and this source needs it`);
  if (code === 'ERR_CHILD_PROCESS_STDIO_MAXBUFFER') return new Fault('too_large', `${file} answered with too much`);
  if ('killed' in error && error.killed === true) {
    return new Fault('timed_out', `${file} was not done after ${LIMITS.fetchWaitMs / 1000} s`);
  }
  const said = stderr.trim().slice(-STDERR_CHARS_MAX);
  return new Fault('io_error', `${file} failed${said === '' ? '' : `: ${said}`}`, { field: 'source', cause: error });
}
