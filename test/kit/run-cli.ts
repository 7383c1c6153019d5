import { runCommandLine } from '../../cli/command-line.js';
import type { EnsureOptions } from '../../cli/daemon.js';
import { type FakeIo, type FakeIoOptions, makeFakeIo } from './fake-io.js';

export interface CliResult {
  readonly exitCode: number;
  readonly out: string;
  readonly err: string;
}

/** Runs one command line in this process, without a terminal unless the options say so. */
export async function runCli(
  argv: readonly string[],
  home: string,
  options: FakeIoOptions & { readonly start?: EnsureOptions } = {},
): Promise<CliResult> {
  const io = makeFakeIo(options);
  const exitCode = await startCli(argv, home, io, options.start);
  return { exitCode, out: io.outText.text, err: io.errText.text };
}

/** As `runCli`, on an Io that the test holds and acts on meanwhile. */
export async function startCli(
  argv: readonly string[],
  home: string,
  io: FakeIo,
  start?: EnsureOptions,
): Promise<number> {
  const parts = { version: '1.2.3', io, ...(start === undefined ? {} : { start }) };
  const exitCode = await runCommandLine([...argv, '--home', home], parts);
  await Promise.all([io.out.flush(), io.err.flush()]);
  return exitCode;
}
