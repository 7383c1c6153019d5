import { randomUUID } from 'node:crypto';
import type { ProcessRow, ProcessState } from '../../abi/control.js';
import { asFault, Fault } from '../../abi/errno.js';
import { LIMITS } from '../../abi/limits.js';
import type { SyscallRow } from '../../abi/syscalls/row.js';
import type { CapsuleSpec, ProcessHooks, RunningInvocation } from './capsule-spec.js';
import { encodeCaller, encodeRequest } from './guest-request.js';
import type { Invocation, InvocationOutcome } from './invocation.js';
import { InvocationQueue, type QueuedInvocation } from './invocation-queue.js';
import { innermostChild, readProcessStats } from './process-stats.js';
import { RestartPlan } from './restart.js';
import type { ExitStatus, WorkerProcess } from './spawn.js';
import { nextState, type ProcessEvent } from './transitions.js';
import { WallClock } from './wall-clock.js';
import { WorkerLink } from './worker-link.js';

const LAST_CALLS_KEPT = 32;
const STDERR_LINE_CHARS_MAX = 2000;
const KERNEL_ACTOR = { principal: 'default', attribution: 'system', session: null } as const;

/** One capsule and its process through starts, invocations, crashes and restarts. */
export class CapsuleProcess {
  readonly spec: CapsuleSpec;
  readonly queue = new InvocationQueue(LIMITS.invocationQueueMax);
  /** UUID of the instance; new at every load (ABI reference 2.2). */
  sourceId: string = randomUUID();
  /** Handles that were made for it before it ran: they come first and cannot be given back. */
  automaticHandles = 0;
  /** Subscription patterns by handle, for `ps`. */
  readonly patterns = new Map<number, string>();
  readonly #hooks: ProcessHooks;
  readonly #plan: RestartPlan;
  readonly #lastCalls: string[] = [];
  #state: ProcessState = 'stopped';
  #worker: WorkerProcess | null = null;
  #link: WorkerLink | null = null;
  #running: RunningInvocation | null = null;
  #endReason: Fault | null = null;
  #stopRequested = false;
  #restartTimer: NodeJS.Timeout | null = null;
  #readyWaiters: ((fault: Fault | null) => void)[] = [];
  #stopWaiters: (() => void)[] = [];
  #isReady = false;
  #waitsOn = '';
  #calls = 0;
  #startedAt = 0;
  #lastActiveAt = 0;
  #measuredPid: number | null = null;
  #cpuMsBefore = 0;

  constructor(spec: CapsuleSpec, hooks: ProcessHooks) {
    this.spec = spec;
    this.#hooks = hooks;
    this.#plan = new RestartPlan(spec.manifest.restart, Date.now, Math.random);
  }

  get name(): string {
    return this.spec.manifest.name;
  }

  get state(): ProcessState {
    return this.#state;
  }

  get isReady(): boolean {
    return this.#isReady;
  }

  get running(): RunningInvocation | null {
    return this.#running;
  }

  /** Starts and resolves when ready; rejects with why it could not become ready. */
  async start(): Promise<void> {
    if (this.#worker !== null) return;
    this.#stopRequested = false;
    await this.#startOnce(false);
  }

  /** Runs an export when the capsule is free. Never rejects. */
  submit(invocation: Invocation): Promise<InvocationOutcome> {
    if (this.#state === 'failed' || this.#state === 'stopped' || this.#state === 'stopping') {
      return Promise.resolve({ kind: 'failed', fault: new Fault('not_ready', `the capsule is ${this.#state}`) });
    }
    return new Promise((settle) => {
      this.queue.push({ invocation, settle });
      this.#pump();
    });
  }

  /** Says what the running invocation waits on, for `ps`; an empty text ends the wait. */
  setWaiting(what: string): void {
    this.#waitsOn = what;
    this.#lastActiveAt = performance.now();
    if (this.#running !== null) this.#step(what === '' ? 'wake' : 'wait');
  }

  /** Ends the process; the restart policy decides what follows. */
  end(reason: Fault, signal: 'SIGTERM' | 'SIGKILL' = 'SIGKILL'): void {
    const worker = this.#worker;
    if (worker === null) return;
    this.#endReason ??= reason;
    this.#running?.cancel.abort();
    worker.kill(signal);
    if (signal === 'SIGKILL') return;
    const timer = setTimeout(() => worker.kill('SIGKILL'), LIMITS.killGraceMs);
    void worker.exited.then(() => clearTimeout(timer));
  }

  /** Ends the process for good and resolves when it is gone. */
  async stop(): Promise<void> {
    this.#stopRequested = true;
    if (this.#restartTimer !== null) clearTimeout(this.#restartTimer);
    this.#restartTimer = null;
    if (this.#state !== 'stopping') this.#step('stop');
    this.#failQueued(new Fault('cancelled', 'the capsule is being stopped'));
    if (this.#worker === null) return;
    const gone = new Promise<void>((resolve) => this.#stopWaiters.push(resolve));
    this.end(new Fault('cancelled', 'the capsule is being stopped'), 'SIGTERM');
    await gone;
  }

  /** An operator's restart: with a clean record, also out of `failed`. */
  async restart(): Promise<void> {
    await this.stop();
    this.#plan.forgive();
    await this.start();
  }

  /** Kills a process that is over its memory, or a run loop that went silent. Called by the sampler. */
  checkLimits(now: number): void {
    const pid = this.#measuredPid;
    if (this.#worker === null || pid === null) return;
    const rss = readProcessStats(pid)?.rssBytes ?? 0;
    if (rss > this.memoryBytesMax) {
      this.end(new Fault('out_of_memory', `the process holds ${rss} bytes, the limit is ${this.memoryBytesMax}`));
      return;
    }
    const silentMs = now - this.#lastActiveAt;
    const loops = this.spec.hasRunLoop && this.#running !== null && this.#waitsOn === '';
    if (loops && silentMs > LIMITS.runLoopWatchdogMs) {
      this.end(new Fault('timed_out', `the run loop made no host call for ${Math.round(silentMs / 1000)} s`));
    }
  }

  get memoryBytesMax(): number {
    return this.spec.manifest.limits.memoryPages * 65536 + LIMITS.processMemoryAllowanceBytes;
  }

  toRow(): ProcessRow {
    const stats = this.#measuredPid === null ? null : readProcessStats(this.#measuredPid);
    return {
      pid: this.#measuredPid,
      capsule: this.name,
      version: this.spec.manifest.version,
      tier: this.spec.tier,
      state: this.#state,
      waitsOn: this.#waitsOn,
      ageMs: this.#worker === null ? 0 : Math.round(performance.now() - this.#startedAt),
      cpuMs: this.#cpuMsBefore + (stats?.cpuMs ?? 0),
      memoryBytes: stats?.rssBytes ?? 0,
      memoryMaxBytes: this.memoryBytesMax,
      calls: this.#calls,
      restarts: this.#plan.total,
    };
  }

  async #startOnce(restart: boolean): Promise<void> {
    this.#step('spawn');
    this.#endReason = null;
    this.#isReady = false;
    this.#startedAt = performance.now();
    this.#lastActiveAt = this.#startedAt;
    try {
      await this.#launch();
    } catch (error) {
      const fault = asFault(error);
      this.#endReason ??= fault;
      if (this.#worker === null) this.#afterExit({ code: null, signal: null });
      else this.end(fault);
      throw fault;
    }
    this.#isReady = true;
    this.#step('ready');
    this.#hooks.started(this, restart);
    if (restart) this.#announceRestart();
    this.#pump();
  }

  async #launch(): Promise<void> {
    // A process takes longer to start than a module to read: both at once. It gets nothing before the hash is checked.
    const reading = this.#hooks.readModule(this.spec);
    reading.catch(() => undefined);
    const worker = this.#hooks.spawn(this.spec.tier);
    this.#worker = worker;
    this.sourceId = randomUUID();
    this.patterns.clear();
    collectLines(worker, (line) => this.#hooks.log(this.name, 'error', line));
    const link = new WorkerLink(worker, {
      onCall: (call, args, reply) => this.#onCall(call, args, reply),
      onLog: (level, message) => this.#hooks.log(this.name, level, message),
      onReady: () => this.#settleReady(null),
      onViolation: (fault) => this.end(fault),
      onClosed: () => undefined,
    });
    this.#link = link;
    void worker.exited.then((status) => this.#afterExit(status));
    const { manifest, generation, config } = this.spec;
    const wasm = await reading;
    const deadline = setTimeout(() => this.end(new Fault('timed_out', 'loading took too long')), LIMITS.loadWaitMs);
    const handles = this.#hooks.register(this);
    this.automaticHandles = handles.length;
    try {
      await link.load({
        wasm,
        generation,
        memoryPages: manifest.limits.memoryPages,
        blockBytesMax: Math.min(manifest.limits.memoryPages * 65536, LIMITS.hostBlockBytesMax),
        config,
        handles,
        logLevel: 'info',
      });
    } catch (error) {
      throw this.#endReason ?? error;
    } finally {
      clearTimeout(deadline);
    }
    this.#measuredPid = innermostChild(worker.pid);
    this.#step('loaded');
    if (this.spec.hasRunLoop) await this.#startRunLoop();
  }

  /** Starts `run` and waits for `signal_ready`; a loop that does not say so in time counts as ready, with a warning. */
  async #startRunLoop(): Promise<void> {
    const ready = new Promise<Fault | null>((resolve) => this.#readyWaiters.push(resolve));
    const timer = setTimeout(() => {
      this.#hooks.log(this.name, 'warn', `not ready after ${LIMITS.readyWaitMs} ms, going on`);
      this.#settleReady(null);
    }, LIMITS.readyWaitMs);
    const invocation: Invocation = {
      exportName: 'run',
      input: Buffer.alloc(0),
      actor: { ...KERNEL_ACTOR, principal: this.spec.principal },
      message: null,
      label: 'run',
      waiters: new Set(),
      wallMs: null,
    };
    void this.#run({ invocation, settle: (outcome) => this.#afterRunLoop(outcome) });
    const fault = await ready;
    clearTimeout(timer);
    if (fault !== null) throw fault;
  }

  #afterRunLoop(outcome: InvocationOutcome): void {
    const ended = new Fault('crashed', 'the run loop returned');
    const fault = outcome.kind === 'failed' ? outcome.fault : ended;
    this.#settleReady(fault);
    this.end(fault);
  }

  #settleReady(fault: Fault | null): void {
    for (const waiter of this.#readyWaiters.splice(0)) waiter(fault);
  }

  #onCall(call: SyscallRow, args: readonly Buffer[], reply: (result: Buffer | Fault) => void): void {
    this.#calls++;
    this.#lastActiveAt = performance.now();
    this.#lastCalls.push(call.name);
    if (this.#lastCalls.length > LAST_CALLS_KEPT) this.#lastCalls.shift();
    this.#hooks.syscall(this, call, args, reply);
  }

  #pump(): void {
    if (this.spec.hasRunLoop || !this.#isReady || this.#running !== null || this.#link?.isIdle !== true) return;
    const next = this.queue.shift();
    if (next !== undefined) void this.#run(next);
  }

  async #run({ invocation, settle }: QueuedInvocation): Promise<void> {
    const { wallMs } = invocation;
    const expire = () => this.end(new Fault('timed_out', `an invocation took longer than ${(wallMs ?? 0) / 1000} s`));
    const wall = wallMs === null ? null : new WallClock(wallMs, expire);
    this.#running = { invocation, cancel: new AbortController(), wall };
    this.#step('invoke');
    const link = this.#link;
    const callerJson = encodeCaller(invocation);
    const gone: InvocationOutcome = { kind: 'failed', fault: new Fault('crashed', 'the capsule is not there') };
    const outcome = link === null ? gone : await link.invoke(invocation.exportName, invocation.input, callerJson);
    wall?.stop();
    this.#running?.cancel.abort();
    this.#running = null;
    this.#waitsOn = '';
    if (link?.isIdle === true) this.#step('done');
    settle(
      outcome.kind === 'failed' && this.#endReason !== null ? { kind: 'failed', fault: this.#endReason } : outcome,
    );
    // A guest that trapped on its own left its memory in an unknown state; one that a host error stopped did not.
    if (outcome.kind === 'failed' && (outcome.fault.code === 'crashed' || outcome.fault.code === 'out_of_memory')) {
      this.end(outcome.fault);
    }
    this.#pump();
  }

  #announceRestart(): void {
    const input = encodeRequest('handle_lifecycle_restart', Buffer.alloc(0));
    const actor = { ...KERNEL_ACTOR, principal: this.spec.principal };
    const { wallMs } = this.spec.manifest.limits;
    const base = { exportName: 'astrid_hook_trigger', message: null, label: 'restart', waiters: new Set<string>() };
    if (!this.spec.hasRunLoop) void this.submit({ ...base, input, actor, wallMs });
  }

  #afterExit(status: ExitStatus): void {
    const stats = this.#measuredPid === null ? null : readProcessStats(this.#measuredPid);
    this.#cpuMsBefore += stats?.cpuMs ?? 0;
    const why = this.#endReason ?? new Fault('crashed', describeExit(status));
    this.#link?.close();
    this.#worker = null;
    this.#link = null;
    this.#measuredPid = null;
    this.#isReady = false;
    this.#settleReady(why);
    this.#step('exit');
    this.#hooks.ended(this, why, this.#lastCalls.splice(0));
    for (const waiter of this.#stopWaiters.splice(0)) waiter();
    if (!this.#stopRequested) this.#planRestart();
  }

  #planRestart(): void {
    const decision = this.#plan.decide('failed');
    if (decision.kind === 'restart') {
      this.#restartTimer = setTimeout(() => {
        this.#restartTimer = null;
        this.#startOnce(true).catch((error: unknown) => {
          this.#hooks.log(this.name, 'error', `restart failed: ${asFault(error).message}`);
        });
      }, decision.afterMs);
      return;
    }
    this.#step(decision.kind === 'give-up' ? 'give-up' : 'stop');
    const why = decision.kind === 'give-up' ? decision.why : 'its restart policy is never';
    this.#hooks.log(this.name, 'error', `not restarted: ${why}`);
    this.#failQueued(new Fault('crashed', `the capsule is not restarted: ${why}`));
  }

  #failQueued(fault: Fault): void {
    for (const { settle } of this.queue.drain()) settle({ kind: 'failed', fault });
  }

  #step(event: ProcessEvent): void {
    this.#state = nextState(this.#state, event);
  }
}

function describeExit({ code, signal }: ExitStatus): string {
  return signal === null
    ? `the process ended with exit code ${code ?? 'unknown'}`
    : `the process was ended by ${signal}`;
}

function collectLines(worker: WorkerProcess, onLine: (line: string) => void): void {
  worker.stderr.setEncoding('utf8');
  worker.stderr.on('data', (chunk: string) => {
    for (const line of chunk.split('\n')) if (line.trim() !== '') onLine(line.slice(0, STDERR_LINE_CHARS_MAX));
  });
}
