import type { ProcessRow } from '../../abi/control.js';
import { asFault, Fault } from '../../abi/errno.js';
import { LIMITS } from '../../abi/limits.js';
import { CapsuleProcess } from '../proc/capsule-process.js';
import type { CapsuleSpec, ProcessHooks } from '../proc/capsule-spec.js';
import { encodeUpgrade } from '../proc/guest-request.js';
import { stopping } from '../proc/instance.js';
import type { InvocationOutcome } from '../proc/invocation.js';
import { shortenFault } from './hook-fault.js';

export interface LifecycleRequest {
  readonly principal: string;
  /** An installed capsule: its stored manifest and module are what runs. */
  readonly capsule: string;
  readonly kind: 'install' | 'upgrade';
  /** Needed for `upgrade`: what the guest gets as `prev_version`. */
  readonly previousVersion?: string;
}

/** `absent`: the module has no such export, so there was nothing to do. */
export type LifecycleOutcome =
  | { readonly kind: 'done' }
  | { readonly kind: 'absent' }
  | { readonly kind: 'failed'; readonly fault: Fault };

/** Runs a capsule's hook of install or upgrade in an instance of its own that is gone afterwards. */
export interface LifecycleRunner {
  /** Throws Fault `invalid_argument`, or `conflict` while a hook of the same capsule runs; what the hook did is in the outcome. */
  runLifecycle(request: LifecycleRequest): Promise<LifecycleOutcome>;
}

/** A hook from the moment it was asked for: whoever ends it need not wait until it has a process. */
class HookRun {
  readonly capsule: string;
  readonly kind: LifecycleRequest['kind'];
  process: CapsuleProcess | null = null;
  endReason: Fault | null = null;

  constructor({ capsule, kind }: LifecycleRequest) {
    this.capsule = capsule;
    this.kind = kind;
  }

  end(reason: Fault): void {
    this.endReason ??= reason;
    this.process?.end(this.endReason, 'SIGTERM');
  }

  toRow(): ProcessRow[] {
    return this.process === null ? [] : [{ ...this.process.toRow(), state: 'hook' }];
  }
}

export interface RunnerParts {
  /** Reads, verifies and inspects what is installed, and chooses the tier as for any start. */
  readonly specify: (principal: string, capsule: string) => Promise<CapsuleSpec>;
  readonly hooks: ProcessHooks;
  /** Resolves when the log has it. */
  readonly record: (
    request: LifecycleRequest,
    outcome: 'accepted' | 'done' | 'failed',
    version: string,
    why: string,
  ) => Promise<void>;
}

/**
 * The instance runs in the capsule's own tier, under its manifest and the gate, on its own keys. On the bus it has a place of
 * its own, so that the version that runs meanwhile keeps its subscriptions; it intercepts nothing and has no run loop.
 */
export class CapsuleLifecycle implements LifecycleRunner {
  readonly #parts: RunnerParts;
  readonly #running = new Map<string, HookRun>();
  #isClosed = false;

  constructor(parts: RunnerParts) {
    this.#parts = parts;
  }

  /** The instance with this place on the bus. */
  processAt(endpoint: string): CapsuleProcess | undefined {
    for (const { process } of this.#running.values()) if (process?.endpoint === endpoint) return process;
    return undefined;
  }

  rows(): ProcessRow[] {
    return [...this.#running.values()].flatMap((run) => run.toRow());
  }

  /** The hook that runs for a capsule, by its name or by the pid that `ps` shows. */
  find(target: string): HookRun | undefined {
    const isMeant = (run: HookRun) => run.toRow().some(({ pid }) => pid !== null && String(pid) === target);
    return this.#running.get(target) ?? [...this.#running.values()].find(isMeant);
  }

  async runLifecycle(request: LifecycleRequest): Promise<LifecycleOutcome> {
    const { capsule, kind } = request;
    if (kind === 'upgrade' && request.previousVersion === undefined)
      throw new Fault('invalid_argument', 'previousVersion: an upgrade needs it', { field: 'previousVersion' });
    if (this.#running.has(capsule)) throw new Fault('conflict', `a hook of ${capsule} runs already`);
    if (this.#isClosed) return { kind: 'failed', fault: stopping() };
    const run = new HookRun(request);
    this.#running.set(capsule, run);
    try {
      const outcome = await this.#run(request, run);
      // One that came to its end at the same moment was ended all the same: that is what was answered.
      return run.endReason === null ? outcome : { kind: 'failed', fault: run.endReason };
    } catch (error) {
      return { kind: 'failed', fault: run.endReason ?? asFault(error) };
    } finally {
      this.#running.delete(capsule);
    }
  }

  /** Ends what runs, also what has no process yet, and lets nothing more begin. */
  async close(): Promise<void> {
    this.#isClosed = true;
    const runs = [...this.#running.values()];
    for (const run of runs) run.end(stopping());
    await Promise.all(runs.map(({ process }) => process?.retire()));
  }

  async #run(request: LifecycleRequest, run: HookRun): Promise<LifecycleOutcome> {
    const { principal, capsule, kind } = request;
    const installed = await this.#parts.specify(principal, capsule);
    const manifest = { ...installed.manifest, restart: 'never' } as const;
    const endpoint = `${capsule}/${kind}`;
    const spec: CapsuleSpec = { ...installed, manifest, principal, endpoint, hasRunLoop: false };
    const process = new CapsuleProcess(spec, this.#parts.hooks);
    if (run.endReason !== null) throw run.endReason;
    run.process = process;
    const sampler = setInterval(() => process.checkLimits(performance.now()), LIMITS.rssSampleMs);
    try {
      await process.start();
      if (!process.exports.has(`astrid_${kind}`)) return { kind: 'absent' };
      return await this.#invoke(process, request);
    } finally {
      clearInterval(sampler);
      await process.retire();
    }
  }

  async #invoke(process: CapsuleProcess, request: LifecycleRequest): Promise<LifecycleOutcome> {
    const { principal, kind, previousVersion } = request;
    const { version } = process.spec.manifest;
    const why = kind === 'install' ? version : `${previousVersion} to ${version}`;
    await this.#parts.record(request, 'accepted', version, why);
    const outcome = await process.submit({
      exportName: `astrid_${kind}`,
      input: kind === 'install' ? Buffer.alloc(0) : encodeUpgrade(previousVersion ?? ''),
      actor: { principal, attribution: 'system', session: null },
      message: null,
      label: kind,
      wallMs: LIMITS.lifecycleWallMs,
    });
    const fault = this.#tell(process, failureOf(outcome));
    await this.#parts.record(request, fault === null ? 'done' : 'failed', version, fault?.message ?? why);
    return fault === null ? { kind: 'done' } : { kind: 'failed', fault };
  }

  #tell({ name }: CapsuleProcess, fault: Fault | null): Fault | null {
    const short = fault === null ? null : shortenFault(fault, name);
    if (fault !== null && short !== null) this.#parts.hooks.log(name, 'error', fault.message);
    return short ?? fault;
  }
}

function failureOf(outcome: InvocationOutcome): Fault | null {
  if (outcome.kind === 'failed') return outcome.fault;
  if (outcome.returnCode === 0) return null;
  return new Fault('crashed', outcome.error === '' ? `the hook returned ${outcome.returnCode}` : outcome.error);
}
