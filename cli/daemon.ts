import { type ChildProcess, spawn } from 'node:child_process';
import { constants, type FSWatcher, watch } from 'node:fs';
import { type FileHandle, mkdir, open, rename, stat } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { asFault, Fault, type FaultCode, isFaultCode } from '../abi/errno.js';
import { LIMITS } from '../abi/limits.js';
import { ControlClient } from './client.js';
import { type Home, openHome, openOrMakeHome, readToken } from './home.js';

const READY_WAIT_MS = 60_000;
/** How often to look when no file event tells: watching is not there on every file system. */
const LOOK_MS = 100;
const LOG_TAIL_BYTES = 64 * 1024;
const LOG_TAIL_LINES = 12;

export interface EnsureOptions {
  /** The supervisor's entry point; by default the one that was compiled next to this program. */
  readonly supervisorMain?: string;
  readonly readyWaitMs?: number;
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Called when a supervisor has to be started, before the wait. */
  readonly onStart?: () => void;
}

/** `waiting`: one runs and still boots. `absent`: nobody listens. */
type Look = 'connected' | 'waiting' | 'absent';

interface Attempt {
  readonly look: Look;
  readonly client: ControlClient | null;
}

/**
 * A client of this home's supervisor, which is started when none runs. Returns once `run/system.ready` is there and
 * the handshake is done. Faults: `bad_home`; `timed_out` (not ready within 60 s); whatever code the supervisor died
 * with, its last log lines in the message.
 */
export async function ensureSupervisor(homePath: string, options: EnsureOptions = {}): Promise<ControlClient> {
  const home = await openOrMakeHome(homePath);
  try {
    const first = await attempt(home);
    if (first.client !== null) return first.client;
    const started = first.look === 'absent' ? await startSupervisor(home, options) : null;
    return await waitReady(home, started, options.readyWaitMs ?? READY_WAIT_MS);
  } finally {
    await home.close();
  }
}

/** Connects if a supervisor runs and is ready. Faults other than `not_running` are thrown. */
async function attempt(home: Home): Promise<Attempt> {
  let client: ControlClient;
  try {
    client = await ControlClient.connect(home);
  } catch (error) {
    const fault = asFault(error);
    if (fault.code === 'not_running') return { look: 'absent', client: null };
    throw fault;
  }
  if (await isReady(home)) return { look: 'connected', client };
  client.close();
  return { look: 'waiting', client: null };
}

async function isReady(home: Home): Promise<boolean> {
  return stat(home.at('run/system.ready')).then(
    () => true,
    () => false,
  );
}

interface Started {
  readonly child: ChildProcess;
  readonly log: FileHandle;
  /** Where this start's output begins in the log. */
  readonly logOffset: number;
  exited: boolean;
  failure: Error | null;
}

async function openLog(home: Home): Promise<FileHandle> {
  await mkdir(home.at('var'), { recursive: true, mode: 0o700 });
  const path = home.at('var/supervisor.log');
  const flags = constants.O_RDWR | constants.O_APPEND | constants.O_CREAT | constants.O_NOFOLLOW;
  const log = await open(path, flags, 0o600);
  if ((await log.stat()).size <= LIMITS.ownLogBytesMax) return log;
  await log.close();
  await rename(path, home.at('var/supervisor.log.1'));
  return open(path, flags, 0o600);
}

async function startSupervisor(home: Home, options: EnsureOptions): Promise<Started> {
  options.onStart?.();
  const main = options.supervisorMain ?? fileURLToPath(new URL('../supervisor/main.bundle.mjs', import.meta.url));
  const log = await openLog(home);
  const logOffset = (await log.stat()).size;
  const child = spawn(process.execPath, [main, '--home', home.path], {
    cwd: home.path,
    env: { ...(options.env ?? process.env) },
    // Its own session: closing this terminal must not end it, and a Ctrl-C here is not meant for it.
    detached: true,
    stdio: ['ignore', log.fd, log.fd],
  });
  const started: Started = { child, log, logOffset, exited: false, failure: null };
  child.once('exit', () => {
    started.exited = true;
  });
  child.once('error', (error) => {
    started.exited = true;
    started.failure = error;
  });
  child.unref();
  return started;
}

async function waitReady(home: Home, started: Started | null, waitMs: number): Promise<ControlClient> {
  const deadline = performance.now() + waitMs;
  const changes = new ChangeWatch(home, started?.child ?? null);
  try {
    for (;;) {
      // Read before the look: a child that ends during the look is met on the next round, with a look of its own.
      const exited = started?.exited ?? false;
      const { client, look } = await attempt(home);
      if (client !== null) {
        // Somebody else's start won. Ours would find that out by itself, unless the winner is stopped before it does.
        if (started !== null && started.child.pid !== client.supervisorPid) started.child.kill('SIGTERM');
        return client;
      }
      if (exited && started !== null && look === 'absent') {
        const fault = await explainExit(started);
        // Somebody else's start won the race and will listen in a moment.
        if (fault.code !== 'already_running') throw fault;
      }
      if (performance.now() >= deadline) {
        throw new Fault('timed_out', `the supervisor was not ready within ${waitMs / 1000} s; see var/supervisor.log`);
      }
      await changes.next(LOOK_MS);
    }
  } finally {
    changes.close();
    await started?.log.close();
  }
}

/** Wakes on a change below `run/`, on the child's exit, or after a while, whichever is first. */
class ChangeWatch {
  readonly #home: Home;
  readonly #child: ChildProcess | null;
  #watcher: FSWatcher | null = null;
  #wake: () => void = () => {};

  constructor(home: Home, child: ChildProcess | null) {
    this.#home = home;
    this.#child = child;
    child?.once('exit', this.#notify);
  }

  #notify = (): void => this.#wake();

  /** `run/` may not exist yet; then the timer carries until it does. */
  #tryWatch(): void {
    if (this.#watcher !== null) return;
    try {
      this.#watcher = watch(this.#home.at('run'), { persistent: false }, this.#notify);
      this.#watcher.on('error', () => this.#dropWatcher());
    } catch {
      this.#watcher = null;
    }
  }

  #dropWatcher(): void {
    this.#watcher?.close();
    this.#watcher = null;
  }

  next(waitMs: number): Promise<void> {
    this.#tryWatch();
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.#wake(), waitMs);
      this.#wake = () => {
        clearTimeout(timer);
        this.#wake = () => {};
        resolve();
      };
    });
  }

  close(): void {
    this.#wake();
    this.#dropWatcher();
    this.#child?.removeListener('exit', this.#notify);
  }
}

/** The last code that the lines of a log name, as `"code":"bad_config"`. Null when there is none. */
export function findFaultCode(lines: readonly string[]): FaultCode | null {
  const codes = [...lines.join('\n').matchAll(/"code":\s*"([a-z_]+)"/g)].map((match) => match[1]);
  return codes.reverse().find(isFaultCode) ?? null;
}

/** What the supervisor says itself about a boot that failed; null when it ended without a word. */
function findBootReason(lines: readonly string[]): string | null {
  const line = lines.findLast((candidate) => candidate.includes('"msg":"boot failed"'));
  try {
    const reason: unknown = Reflect.get(JSON.parse(line ?? '{}') as object, 'reason');
    return typeof reason === 'string' ? reason : null;
  } catch {
    return null; // a line cut off at the end of the log: the raw lines are shown instead
  }
}

async function explainExit(started: Started): Promise<Fault> {
  if (started.failure !== null) return new Fault('io_error', `cannot start the supervisor: ${started.failure.message}`);
  const size = (await started.log.stat()).size;
  const from = Math.max(started.logOffset, size - LOG_TAIL_BYTES);
  const { buffer, bytesRead } = await started.log.read(Buffer.alloc(size - from), 0, size - from, from);
  const lines = buffer
    .toString('utf8', 0, bytesRead)
    .split('\n')
    .filter((line) => line.trim() !== '');
  const reason = findBootReason(lines);
  if (reason !== null) return new Fault(findFaultCode(lines) ?? 'crashed', `the supervisor did not start: ${reason}`);
  if (await isDiskFull(started.log))
    return new Fault('no_space', 'the supervisor did not start: the disk of its home is full, also for its own log');
  const { exitCode, signalCode } = started.child;
  const how = signalCode === null ? `exit code ${exitCode}` : `signal ${signalCode}`;
  const tail = lines.slice(-LOG_TAIL_LINES).map((line) => `\n  ${line}`);
  return new Fault(findFaultCode(lines) ?? 'crashed', `the supervisor did not start (${how})${tail.join('')}`);
}

/** Whether a line more of the log does not fit: then the reason of an end is in no line either. */
async function isDiskFull(log: FileHandle): Promise<boolean> {
  try {
    await log.appendFile('\n');
    return false;
  } catch (error) {
    return error instanceof Error && 'code' in error && (error.code === 'ENOSPC' || error.code === 'EDQUOT');
  }
}

/**
 * After a lost connection: true when the supervisor was stopped on purpose (it removes its token on the way out),
 * false when it died and left the token behind.
 */
export async function wasStopped(homePath: string, waitMs: number): Promise<boolean> {
  const deadline = performance.now() + waitMs;
  const home = await openHome(homePath);
  try {
    for (;;) {
      const gone = await readToken(home).then(
        () => false,
        (error: unknown) => asFault(error).code === 'not_running',
      );
      if (gone || performance.now() >= deadline) return gone;
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
  } finally {
    await home.close();
  }
}
