import { randomInt } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Test } from 'tap';
import { asFault } from '../../abi/errno.js';
import { KernelFiles } from '../../supervisor/files-service.js';
import { openHome } from '../../supervisor/home.js';
import { type Caller, HostProcesses, type HostProcessParts } from '../../supervisor/host-process/service.js';
import { Sessions } from '../../supervisor/sessions.js';
import { quoteCommand } from '../../supervisor/syscalls/command.js';
import type { PathRule } from '../../supervisor/vfs/find-paths.js';
import { hostTools } from '../kit/worker-bench.js';
import { plant, type Tree } from '../vfs/session-fixture.js';

export interface Bench {
  readonly home: string;
  readonly workspace: string;
  readonly files: KernelFiles;
  readonly processes: HostProcesses;
  readonly logs: string[];
  /** Runs to the end, for an instance named `one`. */
  run(...argv: string[]): Promise<{ stdout: string; stderr: string; exitCode: number | null }>;
  /** A shell script, where the test needs one inside the sandbox. */
  sh(script: string): Promise<{ stdout: string; stderr: string; exitCode: number | null }>;
  start(...argv: string[]): Promise<number>;
  /** The code of the fault that a command ends with, or its exit code. */
  fate(...argv: string[]): Promise<string | number | null>;
}

const SESSION = 's-1';
const ACTOR = { principal: 'default', attribution: 'verified', session: SESSION } as const;

export function callerOf(more: Partial<Caller> = {}): Caller {
  const controller = new AbortController();
  const { signal } = controller;
  return {
    capsule: 'tool',
    sourceId: 'one',
    actor: ACTOR,
    cancel: signal,
    toolCallId: null,
    setWaiting: () => {},
    ...more,
  };
}

export const request = (...argv: string[]) => ({ argv, line: quoteCommand(argv) });

/** Real files of a real home, and the service over them. Everything is gone after the test, which fails if something is not. */
export async function makeBench(
  t: Test,
  tree: Tree = {},
  more: Partial<HostProcessParts> = {},
  denied: PathRule | null = null,
): Promise<Bench> {
  const root = mkdtempSync(join(tmpdir(), 'astrid-hp-'));
  const workspace = join(root, 'work');
  mkdirSync(workspace, { mode: 0o755 });
  plant(workspace, tree);
  const home = await openHome(join(root, 'home'));
  const sessions = new Sessions({ put: async () => undefined, all: () => [] });
  await sessions.open({ id: SESSION, workspace, mode: undefined, defaultMode: 'guided', principal: 'default', now: 1 });
  const files = new KernelFiles(home, sessions, denied);
  const logs: string[] = [];
  const processes = new HostProcesses({
    home: home.root,
    tools: await hostTools,
    network: [],
    openPlace: (actor) => files.openCommandPlace(actor),
    log: (_capsule, level, message) => logs.push(`${level}: ${message}`),
    onFault: (fault) => logs.push(`fault: ${fault.message}: ${asFault(fault.cause).message}`),
    ...more,
  });
  t.teardown(async () => {
    await processes.close();
    const left = commandsLeft(home.root);
    await files.close();
    rmSync(root, { recursive: true, force: true });
    if (left.length > 0) throw new Error(`layers are left behind: ${left.join(', ')}`);
  });
  const run = (...argv: string[]) => processes.run(request(...argv), callerOf());
  return {
    home: home.root,
    workspace,
    files,
    processes,
    logs,
    run,
    sh: (script) => run('sh', '-c', script),
    start: (...argv) => processes.start(request(...argv), callerOf()),
    fate: (...argv) =>
      run(...argv).then(
        ({ exitCode }) => exitCode,
        (error: unknown) => asFault(error).code,
      ),
  };
}

function commandsLeft(home: string): string[] {
  const overlays = join(home, 'var/overlay');
  return readdirSync(overlays).flatMap((session) =>
    readdirSync(join(overlays, session)).includes('commands') ? readdirSync(join(overlays, session, 'commands')) : [],
  );
}

/** What the session would change: path to kind. */
export async function changesOf({ files }: Bench): Promise<Record<string, string>> {
  return Object.fromEntries((await files.diff(SESSION, undefined)).map(({ path, kind }) => [path, kind]));
}

export const commitAll = ({ files }: Bench) => files.commit(SESSION, undefined);
export const rollback = ({ files }: Bench, paths?: string[]) => files.rollback(SESSION, paths);

/** A time for `sleep`, hours long, that no other process of the machine has in its command line. */
export const uniqueSleep = () => `${randomInt(10_000, 99_999)}.${process.pid}${randomInt(1_000_000_000)}`;

/** The processes of the machine with this word in their command line; a word that others use too would find theirs. */
export function findProcess(word: string): number[] {
  if (!/\d{5}\.\d/.test(word)) throw new Error(`"${word}" is no word of uniqueSleep`);
  return readdirSync('/proc')
    .map(Number)
    .filter((pid) => pid > 0 && commandLineOf(pid).includes(word));
}

function commandLineOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'latin1');
  } catch {
    return ''; // it ended while we looked
  }
}

/** Tries until it is so; for what another process does in its own time. */
export async function until(what: string, isSo: () => boolean | Promise<boolean>): Promise<void> {
  for (const end = performance.now() + 20_000; !(await isSo()); ) {
    if (performance.now() > end) throw new Error(`did not happen: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
