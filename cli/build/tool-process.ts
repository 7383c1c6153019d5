import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Fault } from '../../abi/errno.js';

const TOOL_WAIT_MS_MAX = 120_000;
const OUTPUT_CHARS_MAX = 4_000;

/** Runs `work` with a directory of its own, which is gone afterwards whatever happens. */
export async function withTemporaryDirectory<T>(work: (directory: string) => Promise<T>): Promise<T> {
  const directory = await mkdtemp(join(tmpdir(), 'astrid-build-'));
  try {
    return await work(directory);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/**
 * Runs a program of the toolchain to its end: no shell, no environment, no input. Throws Fault `io_error` when it cannot
 * be started, `timed_out`, or `internal` with its last words when it fails.
 */
export function runTool(name: string, file: string, args: readonly string[], cwd: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, { cwd, env: {}, stdio: ['ignore', 'pipe', 'pipe'], timeout: TOOL_WAIT_MS_MAX });
    let output = '';
    const keep = (chunk: Buffer) => {
      output = (output + chunk.toString('utf8')).slice(-OUTPUT_CHARS_MAX);
    };
    child.stdout.on('data', keep);
    child.stderr.on('data', keep);
    child.on('error', (cause) => {
      reject(new Fault('io_error', `${name} cannot be started: ${cause.message}`, { cause }));
    });
    child.on('close', (code, signal) => {
      if (code === 0) resolve();
      else if (signal !== null && child.killed) {
        reject(new Fault('timed_out', `${name} was not done after ${TOOL_WAIT_MS_MAX / 1000} s`));
      } else reject(new Fault('internal', `${name} failed (${signal ?? `exit code ${code}`}): ${output.trim()}`));
    });
  });
}
