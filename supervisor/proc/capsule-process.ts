import { randomUUID } from 'node:crypto';
import type { ProcessRow, ProcessState } from '../../abi/control.js';
import { asFault, Fault } from '../../abi/errno.js';
import { LIMITS } from '../../abi/limits.js';
import type { SyscallRow } from '../../abi/syscalls/row.js';
import type { CapsuleSpec, ProcessHooks, RunningInvocation } from './capsule-spec.js';
import { encodeCaller } from './guest-request.js';
import { collectLines, describeExit, endInstance, endWait, type Instance, makeInstance, stopping } from './instance.js';
import type { Invocation, InvocationOutcome } from './invocation.js';
import { InvocationQueue, type QueuedInvocation, refusalOf } from './invocation-queue.js';
import { restartInvocation, runInvocation } from './own-invocations.js';
import { type EndKind, RestartPlan } from './restart.js';
import type { ExitStatus, WorkerProcess } from './spawn.js';
import { nextState, type ProcessEvent } from './transitions.js';
import { WallClock } from './wall-clock.js';
import { WorkerGauge } from './worker-gauge.js';
import { WorkerLink } from './worker-link.js';

const LAST_CALLS_KEPT = 32;

/** One capsule and its process through starts, invocations, crashes and restarts. */
export class CapsuleProcess {
  readonly spec: CapsuleSpec;
  readonly queue = new InvocationQueue(LIMITS.invocationQueueMax, LIMITS.invocationQueueBytesMax);
  /** UUID of the instance; new at every load (ABI reference 2.2). */
  sourceId: string = randomUUID();
  /** Handles that were made for it before it ran: they come first and cannot be given back. */
  automaticHandles = 0;
  /** Subscription patterns by handle, for `ps`. */
  readonly patterns = new Map<number, string>();
  /** What the module that was loaded last exports, as its worker says. */
  exports: ReadonlySet<string> = new Set();
  readonly #hooks: ProcessHooks;
  readonly #plan: RestartPlan;
  readonly #lastCalls: string[] = [];
  #state: ProcessState = 'stopped';
  #instance: Instance | null = null;
  #stopRequested = false;
  /** Counts what asked it to stop: a start that waited for an end must see that somebody came later. */
  #stops = 0;
  #isRetired = false;
  /** A restart that has not ended the old process yet. */
  #restarting: Promise<void> | null = null;
  #readyWaiters: ((fault: Fault | null) => void)[] = [];
  #stopWaiters: (() => void)[] = [];
  #isReady = false;
  #waitsOn = '';
  #calls = 0;
  #startedAt = 0;
  #lastActiveAt = 0;
  readonly #gauge = new WorkerGauge();
  #cpuMsBefore = 0;

  constructor(spec: CapsuleSpec, hooks: ProcessHooks) {
    this.spec = spec;
    this.#hooks = hooks;
    this.#plan = new RestartPlan(spec.manifest.restart, Date.now, Math.random);
  }

  get name(): string {
    return this.spec.manifest.name;
  }

  /** Its place on the bus. */
  get endpoint(): string {
    return this.spec.endpoint ?? this.name;
  }

  get state(): ProcessState {
    return this.#state;
  }

  get isRunning(): boolean {
    return this.#instance !== null;
  }

  get isReady(): boolean {
    return this.#isReady;
  }

  get running(): RunningInvocation | null {
    return this.#instance?.running ?? null;
  }

  /** Starts and resolves when ready; rejects with why it could not become ready. */
  async start(): Promise<void> {
    if (this.#instance === null) return this.#startOnce(false);
    if (this.#stopRequested) throw stopping();
  }

  /** Why no invocation would be taken now, or null. Asked before a large one is made. */
  get refusal(): Fault | null {
    return refusalOf(this.#state, this.queue);
  }

  /** Runs an export when the capsule is free. Never rejects. */
  submit(invocation: Invocation): Promise<InvocationOutcome> {
    const fault = this.refusal;
    if (fault !== null) return Promise.resolve({ kind: 'failed', fault });
    return new Promise((settle) => {
      this.queue.push({ invocation, settle });
      this.#pump();
    });
  }

  /** Says what an invocation waits on, for `ps`; an empty text ends the wait. One that is over has nothing to say. */
  setWaiting(running: RunningInvocation, what: string): void {
    if (running !== this.running) return;
    this.#waitsOn = what;
    this.#lastActiveAt = performance.now();
    this.#step(what === '' ? 'wake' : 'wait');
  }

  /** Ends the process; the restart policy decides what follows. */
  end(reason: Fault, signal: 'SIGTERM' | 'SIGKILL' = 'SIGKILL'): void {
    if (this.#instance !== null) endInstance(this.#instance, reason, signal);
  }

  /** Ends the process, past its restart policy, and resolves when it is gone. */
  async stop(): Promise<void> {
    this.#stopRequested = true;
    this.#stops++;
    this.#plan.cancel();
    if (this.#state !== 'stopping') this.#step('stop');
    this.queue.failAll(stopping());
    const instance = this.#instance;
    if (instance === null) return;
    const gone = new Promise<void>((resolve) => this.#stopWaiters.push(resolve));
    if (this.#waitsOn !== '') await endWait(instance);
    endInstance(instance, stopping(), 'SIGTERM');
    await gone;
  }

  /**
   * As `stop`, for good: its name means nothing or another process from now on, so whoever still holds this one must not bring it
   * back where nobody could see or stop it.
   */
  retire(): Promise<void> {
    this.#isRetired = true;
    return this.stop();
  }

  /** An operator's restart: with a clean record, also out of `failed`. Those that wait for the same end are one. */
  restart(): Promise<void> {
    this.#restarting ??= this.#stopAndStart();
    return this.#restarting;
  }

  async #stopAndStart(): Promise<void> {
    const gone = this.stop();
    const stops = this.#stops;
    await gone.finally(() => {
      this.#restarting = null;
    });
    if (stops !== this.#stops) throw stopping();
    this.#plan.forgive();
    await this.start();
  }

  /** Kills a process that is over its memory, or a run loop that went silent. Called by the sampler. */
  checkLimits(now: number): void {
    if (this.#instance === null || !this.#gauge.isOn) return;
    const isSilent = this.spec.hasRunLoop && this.running !== null && this.#waitsOn === '';
    const over = this.#gauge.findExcess(this.memoryBytesMax, isSilent ? now - this.#lastActiveAt : 0);
    if (over !== null) this.end(over);
  }

  get memoryBytesMax(): number {
    return this.spec.manifest.limits.memoryPages * 65536 + LIMITS.processMemoryAllowanceBytes;
  }

  toRow(): ProcessRow {
    const stats = this.#gauge.read();
    return {
      pid: this.#gauge.pid,
      capsule: this.name,
      version: this.spec.manifest.version,
      tier: this.spec.tier,
      state: this.#state,
      waitsOn: this.#waitsOn,
      ageMs: this.#instance === null ? 0 : Math.round(performance.now() - this.#startedAt),
      cpuMs: this.#cpuMsBefore + (stats?.cpuMs ?? 0),
      memoryBytes: stats?.rssBytes ?? 0,
      memoryMaxBytes: this.memoryBytesMax,
      calls: this.#calls,
      restarts: this.#plan.total,
    };
  }

  async #startOnce(restart: boolean): Promise<void> {
    if (this.#isRetired) throw new Fault('cancelled', 'the capsule was removed or replaced, or the system stops');
    this.#stopRequested = false;
    this.#step('spawn');
    this.#isReady = false;
    this.#startedAt = performance.now();
    this.#lastActiveAt = this.#startedAt;
    const instance = this.#spawn();
    try {
      await this.#load(instance);
      if (this.spec.hasRunLoop) await this.#startRunLoop(instance);
    } catch (error) {
      const fault = asFault(error);
      // That the channel closed says less than how the process ended, which is on its way.
      if (fault.code !== 'crashed') instance.endReason ??= fault;
      endInstance(instance, fault, 'SIGKILL');
    }
    // One that was told to stop may still get ready while it acts on that: it must not count as started.
    if (instance.gone || instance.endReason !== null || this.#stopRequested) throw await instance.ended;
    this.#isReady = true;
    this.#step('ready');
    this.#tell(() => this.#hooks.started(this, restart));
    if (restart && !this.spec.hasRunLoop) void this.submit(restartInvocation(this.spec));
    this.#pump();
  }

  #spawn(): Instance {
    let worker: WorkerProcess;
    try {
      worker = this.#hooks.spawn(this.spec.tier);
    } catch (error) {
      this.#step('exit');
      const fault = asFault(error);
      this.#afterEnd(fault, fault.code === 'io_error' ? 'not-started' : 'failed');
      throw error;
    }
    this.sourceId = randomUUID();
    this.patterns.clear();
    collectLines(worker, (line) => this.#hooks.log(this.name, 'error', line));
    const link = new WorkerLink(worker, {
      onCall: (call, args, reply) => this.#onCall(call, args, reply),
      onLog: (level, message) => this.#hooks.log(this.name, level, message),
      onReady: () => this.#settleReady(null),
      onViolation: (fault) => endInstance(instance, fault, 'SIGKILL'),
    });
    const instance = makeInstance(worker, link);
    this.#instance = instance;
    void worker.exited.then((status) => this.#afterExit(instance, status));
    return instance;
  }

  async #load(instance: Instance): Promise<void> {
    const { manifest, generation, config } = this.spec;
    // A process takes longer to start than a module to read: it starts meanwhile, and gets nothing before the hash is checked.
    const settings = this.#hooks.configure?.(this.spec);
    const [wasm, values] = await Promise.all([this.#hooks.readModule(this.spec), settings]);
    if (this.#instance !== instance || this.#stopRequested) throw stopping();
    const late = new Fault('timed_out', `loading took longer than ${LIMITS.loadWaitMs / 1000} s`);
    const deadline = setTimeout(() => endInstance(instance, late, 'SIGKILL'), LIMITS.loadWaitMs);
    const handles = this.#hooks.register(this);
    this.automaticHandles = handles.length;
    try {
      const report = await instance.link.load({
        wasm,
        generation,
        memoryPages: manifest.limits.memoryPages,
        blockBytesMax: Math.min(manifest.limits.memoryPages * 65536, LIMITS.hostBlockBytesMax),
        config: { ...values, ...config },
        handles,
        logLevel: 'info',
      });
      this.exports = new Set(report.exports);
    } finally {
      clearTimeout(deadline);
    }
    if (this.#instance !== instance || this.#stopRequested) throw stopping();
    this.#gauge.turnOn(instance.worker.pid);
    this.#step('loaded');
  }

  /** Starts `run` and waits for `signal_ready`; a loop that does not say so in time counts as ready, with a warning. */
  async #startRunLoop(instance: Instance): Promise<void> {
    const ready = new Promise<Fault | null>((resolve) => this.#readyWaiters.push(resolve));
    const timer = setTimeout(() => {
      this.#hooks.log(this.name, 'warn', `not ready after ${LIMITS.readyWaitMs} ms, going on`);
      this.#settleReady(null);
    }, LIMITS.readyWaitMs);
    const invocation = runInvocation(this.spec);
    void this.#run(instance, { invocation, settle: (outcome) => this.#afterRunLoop(instance, outcome) });
    const fault = await ready;
    clearTimeout(timer);
    if (fault !== null) throw fault;
  }

  #afterRunLoop(instance: Instance, outcome: InvocationOutcome): void {
    instance.clean = outcome.kind === 'done' && outcome.returnCode === 0;
    const fault = outcome.kind === 'failed' ? outcome.fault : new Fault('crashed', 'the run loop returned');
    if (!instance.gone) this.#settleReady(fault);
    endInstance(instance, fault, 'SIGKILL');
  }

  #settleReady(fault: Fault | null): void {
    for (const waiter of this.#readyWaiters.splice(0)) waiter(fault);
  }

  #onCall(call: SyscallRow, args: readonly Buffer[], reply: (result: Buffer | Fault) => void): void {
    if (this.#stopRequested && call.blocking) this.#instance?.settleHeard();
    this.#calls++;
    this.#lastActiveAt = performance.now();
    this.#lastCalls.push(call.name);
    if (this.#lastCalls.length > LAST_CALLS_KEPT) this.#lastCalls.shift();
    this.#hooks.syscall(this, call, args, reply);
  }

  #pump(): void {
    const instance = this.#instance;
    if (this.spec.hasRunLoop || !this.#isReady || instance === null) return;
    if (instance.running !== null || !instance.link.isIdle) return;
    const next = this.queue.shift();
    if (next !== undefined) void this.#run(instance, next);
  }

  /** One invocation on one instance. Whatever becomes of the process meanwhile, its waiter gets one answer. */
  async #run(instance: Instance, { invocation, settle }: QueuedInvocation): Promise<void> {
    if (instance.gone || this.#stopRequested) {
      settle({ kind: 'failed', fault: stopping() });
      return;
    }
    const { wallMs } = invocation;
    const late = new Fault('timed_out', `an invocation took longer than ${(wallMs ?? 0) / 1000} s`);
    const wall = wallMs === null ? null : new WallClock(wallMs, () => endInstance(instance, late, 'SIGKILL'));
    const mine: RunningInvocation = { invocation, cancel: new AbortController(), wall };
    instance.running = mine;
    this.#step('invoke');
    const outcome = await instance.link.invoke(invocation.exportName, invocation.input, encodeCaller(invocation));
    wall?.stop();
    if (instance.running === mine) instance.running = null;
    if (this.#stopRequested) instance.settleHeard();
    mine.cancel.abort();
    if (!instance.gone) {
      this.#waitsOn = '';
      if (instance.link.isIdle) this.#step('done');
    }
    const why = outcome.kind === 'failed' ? (instance.endReason ?? outcome.fault) : null;
    settle(why === null ? outcome : { kind: 'failed', fault: why });
    // A guest that trapped on its own left its memory in an unknown state; one that a host error stopped did not.
    if (why !== null && (why.code === 'crashed' || why.code === 'out_of_memory')) endInstance(instance, why, 'SIGKILL');
    this.#pump();
  }

  /** The process is gone; its channel may still be open for a moment (bubblewrap ends before what it started). */
  #afterExit(instance: Instance, status: ExitStatus): void {
    if (instance.gone) return;
    instance.gone = true;
    const why = instance.endReason ?? new Fault('crashed', describeExit(status));
    instance.endReason = why;
    const { running } = instance;
    instance.running = null;
    running?.wall?.stop();
    running?.cancel.abort();
    this.#cpuMsBefore += this.#gauge.read()?.cpuMs ?? 0;
    this.#instance = null;
    this.#gauge.turnOff();
    this.#isReady = false;
    this.#waitsOn = '';
    instance.link.abandon(why);
    this.#settleReady(why);
    this.#step('exit');
    this.#afterEnd(why, instance.clean ? 'clean' : 'failed');
    instance.settleEnded(why);
  }

  /** Who waits for the end comes first, then the restart, then telling: what cannot be told must not keep the others. */
  #afterEnd(why: Fault, end: EndKind): void {
    for (const waiter of this.#stopWaiters.splice(0)) waiter();
    if (!this.#stopRequested) this.#planRestart(end);
    const lastCalls = this.#lastCalls.splice(0);
    this.#tell(() => this.#hooks.ended(this, why, lastCalls));
  }

  #tell(tell: () => void): void {
    try {
      tell();
    } catch (error) {
      this.#hooks.log(this.name, 'error', `could not be recorded: ${asFault(error).message}`);
    }
  }

  #planRestart(end: EndKind): void {
    const decision = this.#plan.decide(end);
    if (decision.kind === 'restart') {
      this.#plan.later(decision.afterMs, () => {
        this.#startOnce(true).catch((error: unknown) => {
          this.#hooks.log(this.name, 'error', `restart failed: ${asFault(error).message}`);
        });
      });
      return;
    }
    this.#step(decision.kind === 'give-up' ? 'give-up' : 'stop');
    const why = decision.kind === 'give-up' ? decision.why : 'its restart policy is never';
    this.#hooks.log(this.name, 'error', `not restarted: ${why}`);
    this.queue.failAll(new Fault('crashed', `the capsule is not restarted: ${why}`));
  }

  #step(event: ProcessEvent): void {
    this.#state = nextState(this.#state, event);
  }
}
