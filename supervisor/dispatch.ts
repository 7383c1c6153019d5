import { createHash, hash } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { AuditEvent, Authorization } from '../abi/audit-event.js';
import { asFault, Fault } from '../abi/errno.js';
import type { CapsuleManifest } from '../abi/manifest.js';
import type { SyscallRow } from '../abi/syscalls/row.js';
import { actionOf } from '../abi/table.js';
import { EntryRate } from './entry-rate.js';
import { type Action, type Decision, denied } from './gate/types.js';
import { OpenCallContext } from './open-call-context.js';
import type { CapsuleProcess } from './proc/capsule-process.js';
import type { CallContext, SyscallHandler } from './syscalls/handler.js';

/** The gate as the dispatcher uses it. */
export interface GatePort {
  decideSync(action: Action): Decision | null;
  decide(action: Action): Promise<Decision>;
}

/**
 * The audit as the dispatcher uses it: `append` resolves when the auditor has it, `record` does not wait. A record is made when
 * it is written, after the replies of this turn: hashing arguments is none of what a guest should wait for.
 */
export interface AuditPort {
  append(event: AuditEvent): Promise<unknown>;
  record(make: () => AuditEvent): void;
  /** How long a traced call of this capsule has to wait before it is recorded. Absent: none ever waits. */
  readWaitMs?(capsule: string): number;
}

export interface DispatchParts {
  readonly handlers: Readonly<Record<string, SyscallHandler<never>>>;
  readonly gate: GatePort;
  readonly audit: AuditPort;
  readonly now: () => number;
  /** Milliseconds that never go back; a test sets them. */
  readonly monotonic?: () => number;
  /** Our own mistakes, for the operator; the guest gets a plain `internal`. */
  readonly onInternal: (fault: Fault) => void;
}

type Reply = (result: Buffer | Fault) => void;

/** One call on its way through the steps. */
interface OpenCall {
  readonly process: CapsuleProcess;
  readonly row: SyscallRow;
  readonly handler: SyscallHandler<unknown>;
  readonly request: unknown;
  readonly context: OpenCallContext;
  readonly resource: string;
  readonly action: CallAction;
}

const RESOURCE_CHARS_MAX = 1024;
/** Room for what is hashed at once: names of calls are ASCII. */
const small = Buffer.allocUnsafeSlow(4096);

/**
 * The one path of a host call: decode, decide, write down, act, answer. A call that nobody must wait for stays on one turn
 * of the event loop from frame to reply; that is most of what a host call costs.
 */
export class Dispatcher {
  readonly #parts: DispatchParts;
  readonly #entries: EntryRate;

  constructor(parts: DispatchParts) {
    this.#parts = parts;
    this.#entries = new EntryRate(parts.monotonic ?? (() => performance.now()));
  }

  handle(process: CapsuleProcess, row: SyscallRow, args: readonly Buffer[], reply: Reply): void {
    const fail = (error: unknown) => reply(this.#failure(row, error));
    try {
      const result = this.#serve(process, row, args);
      if (result instanceof Promise) result.then(reply, fail);
      else reply(result);
    } catch (error) {
      fail(error);
    }
  }

  #failure(row: SyscallRow, error: unknown): Buffer | Fault {
    const fault = this.#guestFault(error);
    return this.#parts.handlers[row.name]?.explain?.(fault) ?? fault;
  }

  #serve(process: CapsuleProcess, row: SyscallRow, args: readonly Buffer[]): Buffer | Promise<Buffer> {
    const handler = this.#parts.handlers[row.name] as SyscallHandler<unknown> | undefined;
    if (handler === undefined) throw new Fault('not_served', `${row.name} is not served by this version`);
    const recheck = (real: string, covered: boolean) => {
      const again = this.#parts.gate.decideSync(action.at(real, covered));
      if (again?.verdict === 'deny') throw again.fault ?? new Fault('policy_denied', 'denied');
    };
    const follow = (real: string, covered: boolean) => this.#follow(call, action.at(real, covered));
    const context = new OpenCallContext(process, recheck, follow);
    const request = handler.decode(args);
    const resource = handler.resource(request);
    const action: CallAction = new CallAction(row, handler, request, context, args, resource);
    const call: OpenCall = { process, row, handler, request, context, resource, action };
    const decision = this.#parts.gate.decideSync(action);
    if (row.audit === 'before' && decision?.verdict !== 'deny') this.#admit(call);
    return decision === null ? this.#decideThenRun(call) : this.#afterDecision(call, decision);
  }

  /**
   * Before anybody is asked: an answer of `once` is not used up by a call that is refused then. Behind what the gate denies by itself: a
   * capsule without leave is told that, and nothing of what else would be wrong.
   */
  #admit(call: OpenCall): void {
    try {
      call.handler.admit?.(call.request, call.context);
    } catch (error) {
      this.#record(call, denied('system', asFault(error), null).authorization, 'denied');
      throw error;
    }
  }

  async #decideThenRun(call: OpenCall): Promise<Buffer> {
    const { context } = call;
    context.setWaiting(`approval ${call.action.name}`);
    context.pauseClock();
    try {
      const decision = await this.#parts.gate.decide(call.action);
      context.resumeClock();
      context.setWaiting('');
      if (context.cancel.aborted) throw new Fault('cancelled', 'the capsule is being stopped');
      return await this.#afterDecision(call, decision);
    } finally {
      context.resumeClock();
    }
  }

  #afterDecision(call: OpenCall, decision: Decision): Buffer | Promise<Buffer> {
    const { row, handler, request, context } = call;
    if (decision.verdict === 'deny') {
      this.#record(call, decision.authorization, 'denied');
      throw decision.fault ?? new Fault('policy_denied', 'denied');
    }
    if (row.audit === 'before') return this.#runAfterAppend(call, decision.authorization);
    if (row.audit === 'none') return handler.run(request, context);
    const waitMs = row.traced ? (this.#parts.audit.readWaitMs?.(context.capsule) ?? 0) : 0;
    return waitMs > 0
      ? this.#runAfterWait(call, decision.authorization, waitMs)
      : this.#recordThenRun(call, decision.authorization);
  }

  #recordThenRun(call: OpenCall, authorization: Authorization): Buffer | Promise<Buffer> {
    this.#record(call, authorization, 'accepted');
    return this.#runRecorded(call, authorization, () => call.handler.run(call.request, call.context));
  }

  /** Each place that is read from has an entry of its own: who reads from very many is slowed down, so that this stays bounded. */
  async #runAfterWait(call: OpenCall, authorization: Authorization, waitMs: number): Promise<Buffer> {
    await this.#waitForLog(call, waitMs);
    return this.#recordThenRun(call, authorization);
  }

  /** The kernel makes it wait, so the invocation's clock stands still. */
  async #waitForLog({ context }: OpenCall, waitMs: number): Promise<void> {
    context.setWaiting('audit log');
    context.pauseClock();
    try {
      await delay(waitMs);
    } finally {
      context.resumeClock();
      context.setWaiting('');
    }
    if (context.cancel.aborted) throw new Fault('cancelled', 'the capsule is being stopped');
  }

  /** What was accepted and then failed, or was refused on the way, is recorded as that. */
  #runRecorded(
    call: OpenCall,
    authorization: Authorization,
    run: () => Buffer | Promise<Buffer>,
  ): Buffer | Promise<Buffer> {
    const failed = (error: unknown): never => {
      this.#record(call, authorization, 'failed');
      throw error;
    };
    try {
      const result = run();
      return result instanceof Promise ? result.catch(failed) : result;
    } catch (error) {
      return failed(error);
    }
  }

  /** The entry is acknowledged before the effect; if it cannot be written, there is no effect. */
  async #runAfterAppend(call: OpenCall, authorization: Authorization): Promise<Buffer> {
    const waitMs = this.#entries.waitMs(call.process);
    if (waitMs > 0) await this.#waitForLog(call, waitMs);
    await this.#append(call, authorization);
    return this.#runRecorded(call, authorization, () => {
      // What it would change is kept under its name, which may be another capsule's by now.
      if (call.context.isOver) throw new Fault('cancelled', 'the capsule was ended');
      return call.handler.run(call.request, call.context);
    });
  }

  /** What a call is led to is decided, and written down, like a call of its own. */
  async #follow(call: OpenCall, action: CallAction): Promise<boolean> {
    const decision = this.#parts.gate.decideSync(action);
    if (decision === null) return false;
    const there = { ...call, action, resource: action.resource };
    if (decision.verdict === 'deny') {
      this.#record(there, decision.authorization, 'denied');
      throw decision.fault ?? new Fault('policy_denied', 'denied');
    }
    await this.#append(there, decision.authorization);
    return true;
  }

  async #append(call: OpenCall, authorization: Authorization): Promise<void> {
    this.#entries.take(call.process);
    try {
      await this.#parts.audit.append(makeEvent(call, authorization, 'accepted', this.#parts.now()));
    } catch (error) {
      throw new Fault('audit_unavailable', 'the action cannot be logged now, so it is denied', { cause: error });
    }
  }

  #record(call: OpenCall, authorization: Authorization, outcome: AuditEvent['outcome']): void {
    const time = this.#parts.now();
    this.#parts.audit.record(() => makeEvent(call, authorization, outcome, time));
  }

  /** What a guest may read: a known error as it is, ours without its inside. */
  #guestFault(error: unknown): Fault {
    const fault = asFault(error);
    if (fault.code !== 'internal') return fault;
    this.#parts.onInternal(fault);
    return new Fault('internal', 'the kernel could not serve this call');
  }
}

function makeEvent(
  { row, context, resource, action }: OpenCall,
  authorization: Authorization,
  outcome: AuditEvent['outcome'],
  time: number,
): AuditEvent {
  return {
    time,
    session: context.actor.session,
    principal: context.actor.principal,
    capsule: context.capsule,
    action: action.name,
    resource: resource.slice(0, RESOURCE_CHARS_MAX),
    argsHash: row.audit === 'none' ? null : action.argsHash,
    authorization,
    outcome,
    count: null,
    digest: null,
  };
}

/** What the gate sees of a call. What few decisions need (the hash, the preview) is made when it is asked for. */
class CallAction implements Action {
  readonly call: SyscallRow;
  readonly capsule: string;
  readonly install: string;
  readonly principal: string;
  readonly session: string | null;
  readonly resource: string;
  readonly covered: boolean | null;
  readonly scope?: string;
  readonly risk = 'medium';
  readonly cancel: AbortSignal;
  readonly #handler: SyscallHandler<unknown>;
  readonly #request: unknown;
  readonly #context: CallContext;
  readonly #args: readonly Buffer[];
  #hash: string | null = null;

  constructor(
    row: SyscallRow,
    handler: SyscallHandler<unknown>,
    request: unknown,
    context: CallContext,
    args: readonly Buffer[],
    resource: string,
    covered: boolean | null = handler.covers?.(request, context) ?? null,
  ) {
    this.call = row;
    this.capsule = context.capsule;
    this.install = context.install;
    this.principal = context.actor.principal;
    this.session = context.actor.session;
    this.resource = resource;
    this.covered = covered;
    this.cancel = context.cancel;
    this.#handler = handler;
    this.#request = request;
    this.#context = context;
    this.#args = args;
    const scope = handler.scope?.(request, context);
    if (scope !== undefined) this.scope = scope;
  }

  get name(): string {
    return actionOf(this.call);
  }

  get manifest(): CapsuleManifest {
    return this.#context.manifest;
  }

  get argsHash(): string {
    this.#hash ??= hashArguments(this.call.name, this.#args);
    return this.#hash;
  }

  get argBytes(): number {
    return this.#args.reduce((sum, arg) => sum + arg.length, 0);
  }

  detail(): Promise<readonly string[]> {
    return this.#handler.preview?.(this.#request, this.#context) ?? Promise.resolve([]);
  }

  /** The same call on what its path really leads to. */
  at(resource: string, covered: boolean): CallAction {
    return new CallAction(this.call, this.#handler, this.#request, this.#context, this.#args, resource, covered);
  }
}

/** SHA-256 over name and arguments, each with its length: two different calls never hash alike by concatenation. */
function hashArguments(name: string, args: readonly Buffer[]): string {
  const [only] = args;
  const isOne = args.length === 1 && only !== undefined;
  const head = isOne ? `${name} ${only.length}\n` : `${name} ${args.map((arg) => arg.length).join(' ')}\n`;
  // Most calls have one small argument: one call into native code instead of four.
  if (isOne && head.length + only.length <= small.length) {
    const at = small.write(head, 'latin1');
    small.set(only, at);
    return hash('sha256', small.subarray(0, at + only.length));
  }
  const streaming = createHash('sha256').update(head);
  for (const arg of args) streaming.update(arg);
  return streaming.digest('hex');
}
