import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { asFault, Fault } from '../../abi/errno.js';
import { LIMITS } from '../../abi/limits.js';
import { NamespaceInit } from './namespace-init.js';
import type { Argv } from './sandbox.js';
import { type StartedView, startView } from './started-view.js';
import { makeTasksGroup, type TasksGroup } from './tasks-group.js';

/** The upper layer that one command writes to, and how it becomes part of the session's overlay. */
export interface CommandLayerPort {
  /** Notes the time; what changes later is newer than what the command sees. */
  markStart(): Promise<void>;
  /** Bytes written so far. */
  bytes(): Promise<number>;
  /** Bytes that the disk still has for everybody. */
  freeBytes(): Promise<number>;
  /** Whether the principal may store so many bytes more. */
  fits(bytes: number): boolean;
  /** Takes over what was written; `mergedPath`: where the mounted view can be seen, or null. Returns paths left as they were. */
  adopt(mergedPath: string | null): Promise<readonly string[]>;
  remove(): Promise<void>;
}

export interface CommandParts {
  readonly commandLine: Argv;
  readonly lowerFd: number;
  readonly belowFd: number;
  readonly layer: CommandLayerPort;
  readonly stdout: (chunk: Buffer) => void;
  readonly stderr: (chunk: Buffer) => void;
}

export interface CommandEnd {
  /** -1 when a signal ended it. */
  readonly exitCode: number;
  /** Paths of the workspace that stay as somebody else left them meanwhile. */
  readonly skipped: readonly string[];
  /** Why it was not run, was stopped by us, or could not be kept. */
  readonly problem: Fault | null;
}

/** Of a shell: a command that was ended by signal N has the status 128 + N. Bubblewrap says it the same way. */
const SIGNAL_BASE = 128;
const SIGNAL_MAX = 64;
const FLOW_WINDOW_MS = 100;
const REASON_CHARS_MAX = 400;

/**
 * One command in its sandbox. It moves one way: started → mounted → ended → its namespace is empty → adopted → closed. A kill
 * at any point leads to the same end.
 */
export class Command {
  readonly ended: Promise<CommandEnd>;
  readonly #parts: CommandParts;
  readonly #view: StartedView;
  readonly #tasks: TasksGroup | null;
  #init: NamespaceInit | null = null;
  #exitCode: number | null = null;
  /** Bubblewrap has handed over to the command. */
  #ran = false;
  #mounted = false;
  #killed = false;
  #looking = false;
  #problem: Fault | null = null;
  #said = '';
  #onEnded: () => void = () => undefined;

  constructor(parts: CommandParts) {
    this.#parts = parts;
    this.#view = startView(parts.commandLine, parts.lowerFd, parts.belowFd);
    this.#tasks = makeTasksGroup();
    this.ended = this.#live();
  }

  /** Whether a control group bounds its processes. */
  get hasTasksGroup(): boolean {
    return this.#tasks !== null;
  }

  /** SIGINT to the command and all it started. */
  interrupt(): void {
    this.#init?.signal('SIGINT');
  }

  /** SIGKILL to everything in the sandbox. What was written until then is kept. */
  kill(): void {
    if (this.#killed) return;
    this.#killed = true;
    // Bubblewrap takes the sandbox along when it dies.
    if (this.#init?.signal('SIGKILL') !== true) this.#view.kill();
  }

  async #live(): Promise<CommandEnd> {
    const { stdout, stderr, closed } = this.#view;
    pump(stdout, this.#parts.stdout);
    pump(stderr, (chunk) => {
      if (this.#said.length < REASON_CHARS_MAX) this.#said += chunk.toString('utf8');
      this.#parts.stderr(chunk);
    });
    const ended = new Promise<void>((resolve) => {
      this.#onEnded = resolve;
    });
    const watching = setInterval(() => void this.#watch(), LIMITS.processDiskSampleMs);
    try {
      await this.#begin();
      await Promise.race([ended, closed]);
    } catch (error) {
      this.#problem ??= asFault(error);
      this.kill();
    } finally {
      clearInterval(watching);
    }
    return this.#finish();
  }

  async #begin(): Promise<void> {
    const lines = createInterface({ input: this.#view.channel }).on('line', (line) => this.#hear(line));
    // A sandbox that is killed before it read its `go` resets the channel, and the reader says that again by itself.
    lines.on('error', () => undefined);
    try {
      this.#tasks?.add(this.#view.pid);
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      throw new Fault('tier_unavailable', 'the number of processes of a command cannot be bounded', { cause: error });
    }
    await this.#parts.layer.markStart();
    if (!this.#killed) this.#view.channel.write('go\n');
  }

  /** `mounted` and `ended N` are the script's, the JSON lines are bubblewrap's. The command itself cannot write here. */
  #hear(line: string): void {
    const ended = /^ended (\d{1,3})$/.exec(line);
    if (line === 'mounted') this.#mounted = true;
    else if (ended !== null) {
      this.#exitCode = Number(ended[1]);
      this.#onEnded();
    } else {
      const pid = /"child-pid":\s*(\d+)/.exec(line)?.[1];
      if (pid !== undefined) {
        this.#init = new NamespaceInit(Number(pid));
        if (this.#killed && !this.#init.signal('SIGKILL')) this.#view.kill();
      }
      if (line.includes('"exit-code"')) this.#ran = true;
    }
  }

  async #finish(): Promise<CommandEnd> {
    const { layer } = this.#parts;
    let skipped: readonly string[] = [];
    try {
      if ((await this.#init?.waitGone(LIMITS.processEndWaitMs)) === false)
        throw new Fault('internal', 'a command outlived its SIGKILL');
      const scriptLives = this.#exitCode !== null;
      if (this.#mounted && !layer.fits(await layer.bytes())) throw tooMuch('of what it wrote nothing was kept');
      if (this.#mounted) skipped = await layer.adopt(scriptLives ? `/proc/${this.#view.pid}/cwd` : null);
    } catch (error) {
      this.#problem ??= asFault(error);
    }
    this.#view.channel.end('done\n');
    const giveUp = setTimeout(() => this.#view.kill(), LIMITS.processEndWaitMs);
    await this.#view.closed;
    clearTimeout(giveUp);
    this.#tasks?.remove();
    try {
      await layer.remove();
    } catch (error) {
      this.#problem ??= asFault(error);
    }
    return { exitCode: this.#exitStatus(), skipped, problem: this.#problem ?? this.#startProblem() };
  }

  #exitStatus(): number {
    const code = this.#exitCode;
    if (code === null) return -1;
    return code > SIGNAL_BASE && code <= SIGNAL_BASE + SIGNAL_MAX ? -1 : code;
  }

  /** Bubblewrap says on stderr why it did not get to the command; the names of places in it are not for guests. */
  #startProblem(): Fault | null {
    if (this.#killed) return null;
    const execFailed = /^bwrap: execvp [^\n]*: (No such file or directory|Permission denied)\n$/.exec(this.#said);
    if (execFailed !== null && this.#exitCode === 1)
      return new Fault('not_found', `cmd: ${execFailed[1]?.toLowerCase()} in the sandbox`, { field: 'cmd' });
    if (this.#ran) return null;
    const message = 'the sandbox for commands cannot be made on this machine; `astrid doctor` says what is missing';
    return new Fault('tier_unavailable', message, { cause: new Error(this.#said.slice(0, REASON_CHARS_MAX)) });
  }

  /** Stops a command that fills the disk: neither a quota nor the kernel would. */
  async #watch(): Promise<void> {
    const { layer } = this.#parts;
    // One look at a time: a tree that takes longer than the interval would otherwise keep ever more of them busy.
    if (this.#looking) return;
    this.#looking = true;
    try {
      const [bytes, freeBytes] = await Promise.all([layer.bytes().catch(unknownNow), layer.freeBytes()]);
      if (layer.fits(bytes) && freeBytes > LIMITS.processDiskReserveBytes) return;
    } catch (error) {
      if (this.#exitCode !== null) return;
      this.#problem ??= asFault(error);
    } finally {
      this.#looking = false;
    }
    this.#problem ??= tooMuch('it was stopped, and of what it wrote nothing was kept');
    this.kill();
  }
}

/** Without a free descriptor nobody can tell what it wrote, and it is looked at again in a second; what the disk has left needs none. */
function unknownNow(error: unknown): number {
  if (asFault(error).code !== 'io_error') throw error;
  return 0;
}

function tooMuch(consequence: string): Fault {
  return new Fault('quota_exceeded', `the command wrote more than may be stored: ${consequence}`);
}

/** Reads a stream no faster than one command may keep the supervisor busy. The rest waits in the pipe, and the command with it. */
function pump(stream: Readable, write: (chunk: Buffer) => void): void {
  const most = LIMITS.processOutputBytesPerSecondMax * (FLOW_WINDOW_MS / 1000);
  let bytes = 0;
  let since = performance.now();
  stream.on('error', () => undefined);
  stream.on('data', (chunk: Buffer) => {
    write(chunk);
    const now = performance.now();
    if (now - since > FLOW_WINDOW_MS) {
      since = now;
      bytes = 0;
    }
    bytes += chunk.length;
    if (bytes < most) return;
    stream.pause();
    setTimeout(() => stream.resume(), FLOW_WINDOW_MS);
  });
}
