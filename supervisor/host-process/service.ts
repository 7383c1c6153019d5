import { lstatSync, readlinkSync } from 'node:fs';
import { sep } from 'node:path';
import { asFault, Fault } from '../../abi/errno.js';
import { LIMITS } from '../../abi/limits.js';
import type { Actor } from '../../bus/message.js';
import { Command, type CommandEnd, type CommandLayerPort } from './command.js';
import { HeadAndTail, RingBuffer } from './output.js';
import { type Argv, commandLine, type HiddenPath, MADE_DIRS, type SandboxTools, SYSTEM_DIRS } from './sandbox.js';

/** Where one command runs. */
export interface CommandPlace {
  /** The real directory, without links in its path. */
  readonly workspace: string;
  /** What is in it and not for commands. */
  readonly hidden: readonly HiddenPath[];
  /** The session's upper layer. */
  readonly below: string;
  /** Held handles on both; the paths must lead there. */
  readonly lowerFd: number;
  readonly belowFd: number;
  readonly layer: CommandLayerPort & { readonly dir: string };
}

export interface HostProcessParts {
  /** The system's own home, which no command may see. */
  readonly home: string;
  readonly tools: { readonly [Tool in keyof SandboxTools]: string | null };
  /** Capsules whose commands may use the network. */
  readonly network: readonly string[];
  readonly openPlace: (actor: Actor) => Promise<CommandPlace>;
  readonly log: (capsule: string, level: 'info' | 'warn', message: string) => void;
  readonly onFault: (fault: Fault) => void;
}

/** What is needed of a call's context. */
export interface Caller {
  readonly capsule: string;
  readonly sourceId: string;
  readonly actor: Actor;
  readonly cancel: AbortSignal;
  readonly toolCallId: string | null;
  setWaiting(what: string): void;
}

interface Request {
  readonly argv: Argv;
  readonly line: string;
}

interface Output {
  readonly stdout: string;
  readonly stderr: string;
  readonly exitCode: number | null;
}

interface Sink {
  write(chunk: Buffer): void;
  take(): string;
}

interface Foreground {
  readonly session: string | null;
  readonly toolCallId: string | null;
  cancel(): void;
}

interface Background {
  readonly command: Command;
  readonly line: string;
  readonly stdout: Sink;
  readonly stderr: Sink;
  end: CommandEnd | null;
  isReported: boolean;
}

/** Everything that one capsule instance has running. `open` is false once it ended: nothing starts any more. */
interface Instance {
  readonly running: Set<Command>;
  readonly background: Map<number, Background>;
  starting: number;
  open: boolean;
}

const CANCELLED: Output = { stdout: '', stderr: 'process cancelled', exitCode: -1 };

/** The kernel does not hold root to RLIMIT_NPROC. */
const UNBOUNDED = 'as root and without a control group, the number of processes of a command is not bounded';

/** The commands of all capsules, by the instance that started them: they never outlive it. */
export class HostProcesses {
  readonly #parts: HostProcessParts;
  readonly #instances = new Map<string, Instance>();
  readonly #foreground = new Set<Foreground>();
  /** Commands that have not ended, of living and dead instances. */
  readonly #ending = new Set<Promise<unknown>>();
  readonly #systemDirs = findSystemDirs();
  #ids = 0;
  #closed = false;

  constructor(parts: HostProcessParts) {
    this.#parts = parts;
  }

  mayUseNetwork(capsule: string): boolean {
    return this.#parts.network.includes(capsule);
  }

  /** Runs to the end. Cancelled by a person or by unloading: empty output and -1. */
  async run(request: Request, caller: Caller): Promise<Output> {
    const instance = this.#instanceOf(caller);
    const stdout = new HeadAndTail(LIMITS.processCaptureBytesMax);
    const stderr = new HeadAndTail(LIMITS.processCaptureBytesMax);
    caller.setWaiting(`spawn_host ${request.argv[0]}`);
    let cancelled = false;
    let command: Command | null = null;
    let grace: NodeJS.Timeout | undefined;
    const unload = () => {
      cancelled = true;
      command?.kill();
    };
    const entry: Foreground = {
      session: caller.actor.session,
      toolCallId: caller.toolCallId,
      cancel: () => {
        cancelled = true;
        command?.interrupt();
        grace ??= setTimeout(() => command?.kill(), LIMITS.processCancelGraceMs);
      },
    };
    this.#foreground.add(entry);
    caller.cancel.addEventListener('abort', unload, { once: true });
    try {
      command = await this.#start(request, caller, instance, stdout, stderr);
      if (cancelled) command.kill();
      const { exitCode, skipped, problem } = await command.ended;
      this.#tellSkipped(caller.capsule, request.line, skipped);
      if (cancelled) {
        this.#parts.log(caller.capsule, 'info', `command cancelled: ${request.line}`);
        return CANCELLED;
      }
      if (problem !== null) throw problem;
      return { stdout: stdout.take(), stderr: stderr.take(), exitCode };
    } catch (error) {
      // Unloaded before the command ran: for the guest no other end than a moment later.
      if (cancelled && asFault(error).code === 'cancelled') return CANCELLED;
      throw error;
    } finally {
      clearTimeout(grace);
      this.#foreground.delete(entry);
      caller.cancel.removeEventListener('abort', unload);
      caller.setWaiting('');
    }
  }

  /** Starts and returns an id, which is never given again. */
  async start(request: Request, caller: Caller): Promise<number> {
    const instance = this.#instanceOf(caller);
    makeRoom(instance);
    const stdout = new RingBuffer(LIMITS.processRingBytesMax);
    const stderr = new RingBuffer(LIMITS.processRingBytesMax);
    instance.starting += 1;
    let command: Command;
    try {
      command = await this.#start(request, caller, instance, stdout, stderr);
    } finally {
      instance.starting -= 1;
    }
    this.#ids += 1;
    const id = this.#ids;
    const entry: Background = { command, line: request.line, stdout, stderr, end: null, isReported: false };
    instance.background.set(id, entry);
    this.#parts.log(caller.capsule, 'info', `background command ${id} started: ${request.line}`);
    void command.ended.then((end) => {
      entry.end = end;
      if (end.problem !== null) stderr.write(Buffer.from(`astrid: ${end.problem.message}\n`));
      this.#tellSkipped(caller.capsule, request.line, end.skipped);
    });
    return id;
  }

  /** What was written since the last read. */
  read(id: number, caller: Caller): Output & { readonly running: boolean } {
    const entry = this.#backgroundOf(id, caller);
    return { ...report(entry), running: entry.end === null };
  }

  /** Ends everything that the command started, and forgets it. */
  async kill(id: number, caller: Caller): Promise<Output> {
    const entry = this.#backgroundOf(id, caller);
    entry.command.kill();
    entry.end = await entry.command.ended;
    this.#instances.get(caller.sourceId)?.background.delete(id);
    this.#parts.log(caller.capsule, 'info', `background command ${id} killed: ${entry.line}`);
    return report(entry);
  }

  /** `tool.v1.request.cancel`: commands of this session for one of the calls, and those for none. */
  cancelCalls(payload: unknown, session: string | null): void {
    const ids: unknown = typeof payload === 'object' && payload !== null ? Reflect.get(payload, 'call_ids') : undefined;
    if (!Array.isArray(ids)) return;
    for (const entry of this.#foreground) {
      if (entry.session !== session) continue;
      if (entry.toolCallId === null || ids.includes(entry.toolCallId)) entry.cancel();
    }
  }

  release(sourceId: string): void {
    const instance = this.#instances.get(sourceId);
    this.#instances.delete(sourceId);
    if (instance === undefined) return;
    instance.open = false;
    for (const command of instance.running) command.kill();
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const sourceId of [...this.#instances.keys()]) this.release(sourceId);
    // One that is still starting becomes one that is ending.
    while (this.#ending.size > 0) await Promise.allSettled(this.#ending);
  }

  #instanceOf({ sourceId, cancel }: Caller): Instance {
    if (this.#closed || cancel.aborted) throw new Fault('cancelled', 'the capsule is being stopped');
    const known = this.#instances.get(sourceId);
    if (known !== undefined) return known;
    const made: Instance = { running: new Set(), background: new Map(), starting: 0, open: true };
    this.#instances.set(sourceId, made);
    return made;
  }

  #backgroundOf(id: number, { sourceId }: Caller): Background {
    const entry = this.#instances.get(sourceId)?.background.get(id);
    if (entry === undefined) throw new Fault('bad_handle', `id: no background process ${id}`, { field: 'id' });
    return entry;
  }

  async #start(request: Request, caller: Caller, instance: Instance, stdout: Sink, stderr: Sink): Promise<Command> {
    const tools = this.#requireTools();
    const opening = this.#parts.openPlace(caller.actor);
    const command = await this.#track(
      opening.then((place) => this.#startIn(place, tools, request, caller, instance, stdout, stderr)),
    );
    instance.running.add(command);
    void this.#track(command.ended).then(({ problem }) => {
      instance.running.delete(command);
      if (problem?.cause !== undefined) this.#parts.onFault(problem);
    });
    if (!instance.open) command.kill();
    return command;
  }

  async #startIn(
    place: CommandPlace,
    tools: SandboxTools,
    { argv }: Request,
    { capsule, cancel }: Caller,
    instance: Instance,
    stdout: Sink,
    stderr: Sink,
  ): Promise<Command> {
    const { workspace, hidden, below, layer, lowerFd, belowFd } = place;
    try {
      if (!instance.open || cancel.aborted) throw new Fault('cancelled', 'the capsule is being stopped');
      checkWorkspace(workspace, this.#parts.home);
      const spec = {
        workspace,
        hidden,
        network: this.mayUseNetwork(capsule),
        systemDirs: this.#systemDirs,
        uid: process.getuid?.() ?? 0,
        gid: process.getgid?.() ?? 0,
      };
      const command = new Command({
        commandLine: commandLine(tools, { workspace, layer: layer.dir, below }, spec, argv),
        lowerFd,
        belowFd,
        layer,
        stdout: (chunk) => stdout.write(chunk),
        stderr: (chunk) => stderr.write(chunk),
      });
      if (spec.uid === 0 && !command.hasTasksGroup) this.#parts.log(capsule, 'warn', UNBOUNDED);
      return command;
    } catch (error) {
      // What cannot be removed now is tried again before the next command.
      await layer.remove().catch(() => undefined);
      throw error;
    }
  }

  #requireTools(): SandboxTools {
    const { bwrap, prlimit, setpriv } = this.#parts.tools;
    if (bwrap !== null && prlimit !== null && setpriv !== null) return { bwrap, prlimit, setpriv };
    const missing = bwrap === null ? 'bubblewrap' : 'util-linux (prlimit, setpriv)';
    const message = `commands run only in a sandbox, and ${missing} is not installed; \`astrid doctor\` says what to do`;
    throw new Fault('tier_unavailable', message);
  }

  #track<T>(running: Promise<T>): Promise<T> {
    const forget = () => void this.#ending.delete(running);
    this.#ending.add(running);
    running.then(forget, forget);
    return running;
  }

  #tellSkipped(capsule: string, line: string, skipped: readonly string[]): void {
    if (skipped.length === 0) return;
    const message = `of what ${line} wrote, this was left as it is, changed by others meanwhile: ${skipped.join(', ')}`;
    this.#parts.log(capsule, 'warn', message.slice(0, LIMITS.logMessageBytesMax / 4));
  }
}

/** The oldest one that ended and was reported makes room for a new one; a running one never does. */
function makeRoom({ background, starting }: Instance): void {
  if (background.size + starting < LIMITS.processesPerInstanceMax) return;
  for (const [id, entry] of background) {
    if (!entry.isReported) continue;
    background.delete(id);
    return;
  }
  const most = LIMITS.processesPerInstanceMax;
  throw new Fault('quota_exceeded', `at most ${most} background processes at a time; kill one first`);
}

/** New output, and the exit code the first time that it is known. */
function report(entry: Background): Output {
  const exitCode = entry.end === null || entry.isReported ? null : entry.end.exitCode;
  if (entry.end !== null) entry.isReported = true;
  return { stdout: entry.stdout.take(), stderr: entry.stderr.take(), exitCode };
}

/** No overlay over the system's directories, none over our own home, and the home nowhere in sight. */
function checkWorkspace(workspace: string, home: string): void {
  const within = (path: string, parent: string) =>
    parent === sep || path === parent || path.startsWith(`${parent}${sep}`);
  if ([...SYSTEM_DIRS, ...MADE_DIRS].some((path) => within(path, workspace)) || within(workspace, '/proc'))
    throw unfit('the workspace holds directories of the system');
  if (within(workspace, '/dev') || within(workspace, '/sys')) throw unfit('the workspace is not on a disk');
  if (within(home, workspace)) throw unfit("the workspace holds the system's own home");
  if (SYSTEM_DIRS.some((path) => within(home, path))) throw unfit("the system's own home lies among the programs");
}

function unfit(why: string): Fault {
  return new Fault('not_supported', `commands cannot be run here: ${why}; open the session in another directory`);
}

function findSystemDirs(): ReadonlyMap<string, string | null> {
  const found = new Map<string, string | null>();
  for (const path of SYSTEM_DIRS) {
    const stat = lstatSync(path, { throwIfNoEntry: false });
    if (stat?.isSymbolicLink()) found.set(path, readlinkSync(path));
    else if (stat?.isDirectory()) found.set(path, null);
  }
  return found;
}
