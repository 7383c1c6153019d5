import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import type { Duplex, Readable } from 'node:stream';
import { Fault } from '../../abi/errno.js';
import { requireDescriptors, streamOf } from '../child-streams.js';
import { listLeakedFiles } from './leaked-files.js';
import { type Argv, BELOW_FD, CHANNEL_FD, OUTER_ENV } from './sandbox.js';

/** The started script: its pid is where the mounted view can be seen from. */
export interface StartedView {
  readonly pid: number;
  readonly channel: Duplex;
  readonly stdout: Readable;
  readonly stderr: Readable;
  /** All its streams are at their end. */
  readonly closed: Promise<void>;
  /** Ends the script and bubblewrap at once. */
  kill(): void;
}

/** What it writes, both ways, and the channel. One more descriptor holds the place of inherited files. */
const VIEW_PIPES = 4;

/** Starts the command line with its three streams, the channel and the two held layers, and nothing else of ours. */
export function startView(argv: Argv, lowerFd: number, belowFd: number): StartedView {
  const [file = '', ...args] = argv;
  requireDescriptors(VIEW_PIPES);
  const nothing = openSync('/dev/null', 'r+');
  let child: ChildProcess;
  try {
    const stdio = ['ignore', 'pipe', 'pipe', 'pipe', lowerFd, belowFd] as ('ignore' | 'pipe' | number)[];
    for (const fd of listLeakedFiles()) if (fd > BELOW_FD) stdio[fd] = nothing;
    child = spawn(file, args, {
      stdio: Array.from(stdio, (entry) => entry ?? 'ignore'),
      env: { ...OUTER_ENV },
      cwd: '/',
      detached: true,
    });
  } finally {
    closeSync(nothing);
  }
  // A failed start reports later, too; whoever waits hears of it as the end.
  const closed = new Promise<void>((resolve) => {
    child.once('error', () => resolve());
    child.once('close', () => resolve());
  });
  const channel = streamOf(child, CHANNEL_FD);
  const { pid, stdout, stderr } = child;
  if (pid === undefined || channel === null || !stdout || !stderr) {
    throw new Fault('tier_unavailable', 'a command could not be started; `astrid doctor` says what is missing');
  }
  // The script may be gone while we write; its end is heard of elsewhere.
  channel.on('error', () => undefined);
  return { pid, channel, stdout, stderr, closed, kill: () => killGroup(child) };
}

/** The script leads a process group of its own, with bubblewrap in it. */
function killGroup(child: ChildProcess): void {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
  }
}
