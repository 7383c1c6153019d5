import { argv as processArgv } from 'node:process';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { EXIT } from '../abi/errno.js';
import type { Io } from './io.js';
import { readPackageVersion } from './package-root.js';
import { Terminal } from './view/terminal.js';

/** NO_COLOR: any value but the empty one (no-color.org). */
function wantsColor(stream: NodeJS.WriteStream, color: boolean): boolean {
  const { NO_COLOR, TERM } = process.env;
  return color && stream.isTTY === true && (NO_COLOR === undefined || NO_COLOR === '') && TERM !== 'dumb';
}

/** A reader that went away (`astrid ps | head -1`) is no failure, and there is nobody left to tell. */
function leaveQuietly(error: NodeJS.ErrnoException): void {
  process.exit(error.code === 'EPIPE' ? EXIT.ok : EXIT.failed);
}

/** The first signal asks the command to end; the second does not ask. */
function onInterrupt(handler: () => void): () => void {
  let asked = false;
  const onSignal = () => {
    if (asked) process.exit(EXIT.interrupted);
    asked = true;
    handler();
  };
  process.on('SIGINT', onSignal).on('SIGTERM', onSignal);
  return () => void process.off('SIGINT', onSignal).off('SIGTERM', onSignal);
}

function makeIo(color: boolean): Io {
  return {
    stdin: process.stdin,
    out: new Terminal(process.stdout, { color: wantsColor(process.stdout, color), onBroken: leaveQuietly }),
    err: new Terminal(process.stderr, { color: wantsColor(process.stderr, color) }),
    editorOutput: process.stdout,
    env: process.env,
    cwd: process.cwd(),
    now: Date.now,
    onInterrupt,
  };
}

/** Runs the process's own command line and ends the process with its exit code. */
export async function main(argv: readonly string[] = processArgv.slice(2)): Promise<void> {
  const version = readPackageVersion(fileURLToPath(import.meta.url));
  if (argv.length === 1 && argv[0] === '--version') {
    // Before anything heavy is loaded: scripts ask for this often.
    process.stdout.write(`${version}\n`);
    return;
  }
  const { runCommandLine } = await import('./command-line.js');
  // Looked up before parsing: what the parser itself has to say obeys it too.
  const io = makeIo(!argv.includes('--no-color'));
  const exitCode = await runCommandLine(argv, { version, io });
  await Promise.all([io.out.flush(), io.err.flush()]);
  // A keyboard that is still open or a timer of a library must not keep a finished command alive.
  process.exit(exitCode);
}

if (processArgv[1] !== undefined && import.meta.url === pathToFileURL(processArgv[1]).href) await main();
