import { type ChildProcess, spawn } from 'node:child_process';
import type { Readable } from 'node:stream';
import { Fault } from '../../abi/errno.js';
import type { Tier } from '../../abi/manifest.js';
import { WORKER_DESCRIPTORS } from '../../abi/worker-protocol.js';
import type { StreamPair } from '../../bus/connection.js';
import { requireDescriptors, streamOf } from '../child-streams.js';
import type { HostTools } from './host-tools.js';
import { JAIL_BUNDLE, jailArguments, rlimitArguments } from './sandbox-profile.js';

export interface ExitStatus {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A started worker, before anything was said on its channel. */
export interface WorkerProcess {
  /** The process we started: bubblewrap in the jail, Node itself otherwise. */
  readonly pid: number;
  readonly tier: Tier;
  readonly channel: StreamPair;
  readonly stderr: Readable;
  readonly exited: Promise<ExitStatus>;
  kill(signal: NodeJS.Signals): void;
}

export interface WorkerProgram {
  readonly tools: HostTools;
  readonly workerBundle: string;
}

/**
 * The stack is four times V8's default and half of the usual limit of a process: QuickJS counts its own stack only, and deeply
 * nested JSON that a peer sends must end in its catchable exception and not in a trap.
 */
const V8_FLAGS = ['--max-old-space-size=64', '--no-warnings', '--disable-proto=delete', '--stack-size=3900'];

/** Its channel, both ways, and what it says on stderr. */
const WORKER_PIPES = 3;

/** The only place where a worker starts. Its environment is empty and its channel is all it has to talk on. */
export function spawnWorker(tier: Tier, program: WorkerProgram): WorkerProcess {
  const [file, ...args] = commandLine(tier, program);
  if (file === undefined) throw new Fault('internal', 'no command to start a worker with');
  requireDescriptors(WORKER_PIPES);
  const child = spawn(file, args, { stdio: ['ignore', 'ignore', 'pipe', 'pipe', 'pipe'], env: {}, cwd: '/' });
  // A failed spawn (no such file, no more processes) reports later; give it a listener and say it as an exit.
  const exited = waitForExit(child);
  const input = streamOf(child, WORKER_DESCRIPTORS.output);
  const output = streamOf(child, WORKER_DESCRIPTORS.input);
  if (child.pid === undefined || input === null || output === null || !child.stderr) {
    throw new Fault('tier_unavailable', `a worker of tier ${tier} could not be started`);
  }
  const channel = { input, output };
  return { pid: child.pid, tier, channel, stderr: child.stderr, exited, kill: (signal) => void child.kill(signal) };
}

function commandLine(tier: Tier, program: WorkerProgram): string[] {
  const { tools, workerBundle } = program;
  const limited = [requireTool(tools, 'prlimit'), ...rlimitArguments()];
  if (tier === 'jail') {
    const paths = { node: process.execPath, libraries: tools.libraries, workerBundle };
    const bwrap = requireTool(tools, 'bwrap');
    return [...limited, bwrap, ...jailArguments(paths), process.execPath, ...V8_FLAGS, JAIL_BUNDLE];
  }
  return [
    // Whatever a wrapper around spawn adds to the environment ends here (a NODE_OPTIONS would load code into the worker).
    ...[requireTool(tools, 'env'), '-i'],
    // The signal at the parent's death survives the exec of prlimit and Node: no orphan when the supervisor is killed.
    ...[requireTool(tools, 'setpriv'), '--pdeathsig', 'KILL', '--no-new-privs', '--'],
    ...limited,
    process.execPath,
    ...V8_FLAGS,
    ...permissionFlags(workerBundle),
    workerBundle,
  ];
}

/** Packages of Debian and Ubuntu. */
const PACKAGES = { prlimit: 'util-linux', setpriv: 'util-linux', env: 'coreutils', bwrap: 'bubblewrap' } as const;

/** A worker without one of these would be in no tier at all, and nobody would see it: so there is none. */
function requireTool(tools: HostTools, name: keyof typeof PACKAGES): string {
  const path = tools[name];
  if (path !== null) return path;
  const wayOut = `install ${PACKAGES[name]} (Debian and Ubuntu: apt-get install ${PACKAGES[name]})`;
  throw new Fault('tier_unavailable', `no capsule can start without the program ${name}: ${wayOut}`);
}

/** Node's own permission model: no file but the bundle, no child process, no thread, no add-on. */
export function permissionFlags(workerBundle: string, nodeVersion: string = process.versions.node): string[] {
  const [major = 0, minor = 0] = nodeVersion.split('.').map(Number);
  const stable = major > 23 || (major === 23 && minor >= 5);
  return [stable ? '--permission' : '--experimental-permission', `--allow-fs-read=${workerBundle}`];
}

function waitForExit(child: ChildProcess): Promise<ExitStatus> {
  return new Promise((resolve) => {
    child.once('error', () => resolve({ code: 127, signal: null }));
    child.once('exit', (code, signal) => resolve({ code, signal }));
  });
}
