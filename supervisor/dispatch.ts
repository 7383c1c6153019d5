import { createHash, hash } from 'node:crypto';
import type { AuditEvent, Authorization } from '../abi/audit-event.js';
import { asFault, Fault } from '../abi/errno.js';
import type { SyscallRow } from '../abi/syscalls/row.js';
import type { Action, Decision } from './gate/types.js';
import type { CapsuleProcess } from './proc/capsule-process.js';
import type { CallContext, SyscallHandler } from './syscalls/handler.js';

/** The gate as the dispatcher uses it. */
export interface GatePort {
  decideSync(action: Action): Decision | null;
  decide(action: Action): Promise<Decision>;
}

/** The audit as the dispatcher uses it: `append` resolves when the auditor has it, `record` does not wait. */
export interface AuditPort {
  append(event: AuditEvent): Promise<unknown>;
  record(event: AuditEvent): void;
}

export interface DispatchParts {
  readonly handlers: Readonly<Record<string, SyscallHandler<never>>>;
  readonly gate: GatePort;
  readonly audit: AuditPort;
  readonly now: () => number;
  /** Our own mistakes, for the operator; the guest gets a plain `internal`. */
  readonly onInternal: (fault: Fault) => void;
}

type Reply = (result: Buffer | Fault) => void;

/** One call on its way through the steps. */
interface OpenCall {
  readonly row: SyscallRow;
  readonly handler: SyscallHandler<unknown>;
  readonly request: unknown;
  readonly context: CallContext;
  readonly resource: string;
  readonly argsHash: string | null;
}

const RESOURCE_CHARS_MAX = 1024;
const SMALL_ARGUMENT_BYTES = 4096;

/**
 * The one path of a host call: decode, decide, write down, act, answer. A call that nobody must wait for stays on one turn
 * of the event loop from frame to reply; that is most of what a host call costs.
 */
export class Dispatcher {
  readonly #parts: DispatchParts;

  constructor(parts: DispatchParts) {
    this.#parts = parts;
  }

  handle(process: CapsuleProcess, row: SyscallRow, args: readonly Buffer[], reply: Reply): void {
    try {
      const result = this.#serve(process, row, args);
      if (result instanceof Promise) result.then(reply, (error: unknown) => reply(this.#guestFault(error)));
      else reply(result);
    } catch (error) {
      reply(this.#guestFault(error));
    }
  }

  #serve(process: CapsuleProcess, row: SyscallRow, args: readonly Buffer[]): Buffer | Promise<Buffer> {
    const handler = this.#parts.handlers[row.name] as SyscallHandler<unknown> | undefined;
    if (handler === undefined) throw new Fault('not_served', `${row.name} is not served by this version`);
    const recheck = (real: string, covered: boolean) => {
      const again = this.#parts.gate.decideSync({ ...action, resource: real, covered });
      if (again?.verdict === 'deny') throw again.fault ?? new Fault('policy_denied', 'denied');
    };
    const context = makeContext(process, recheck);
    const request = handler.decode(args);
    const resource = handler.resource(request);
    const argsHash = row.audit === 'none' ? null : hashArguments(row.name, args);
    const call: OpenCall = { row, handler, request, context, resource, argsHash };
    const action: Action = describeAction(call, args);
    const decision = this.#parts.gate.decideSync(action);
    return decision === null ? this.#decideThenRun(call, action) : this.#afterDecision(call, decision);
  }

  async #decideThenRun(call: OpenCall, action: Action): Promise<Buffer> {
    const { context } = call;
    context.setWaiting(`approval ${call.row.name.replace('astrid_', '')}`);
    context.pauseClock();
    try {
      const decision = await this.#parts.gate.decide(action);
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
      this.#parts.audit.record(this.#event(call, decision.authorization, 'denied'));
      throw decision.fault ?? new Fault('policy_denied', 'denied');
    }
    if (row.audit === 'before') return this.#runAfterAppend(call, decision.authorization);
    if (row.audit === 'none') return handler.run(request, context);
    this.#parts.audit.record(this.#event(call, decision.authorization, 'accepted'));
    return this.#runRecorded(call, decision.authorization, () => handler.run(request, context));
  }

  /** What was accepted and then failed, or was refused on the way, is recorded as that. */
  #runRecorded(
    call: OpenCall,
    authorization: Authorization,
    run: () => Buffer | Promise<Buffer>,
  ): Buffer | Promise<Buffer> {
    const failed = (error: unknown): never => {
      this.#parts.audit.record(this.#event(call, authorization, 'failed'));
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
    try {
      await this.#parts.audit.append(this.#event(call, authorization, 'accepted'));
    } catch (error) {
      throw new Fault('audit_unavailable', 'the action cannot be logged now, so it is denied', { cause: error });
    }
    return this.#runRecorded(call, authorization, () => call.handler.run(call.request, call.context));
  }

  #event(call: OpenCall, authorization: Authorization, outcome: AuditEvent['outcome']): AuditEvent {
    const { actor, capsule } = call.context;
    return {
      time: this.#parts.now(),
      session: actor.session,
      principal: actor.principal,
      capsule,
      action: call.row.name.replace('astrid_', ''),
      resource: call.resource.slice(0, RESOURCE_CHARS_MAX),
      argsHash: call.argsHash,
      authorization,
      outcome,
      count: null,
      digest: null,
    };
  }

  /** What a guest may read: a known error as it is, ours without its inside. */
  #guestFault(error: unknown): Fault {
    const fault = asFault(error);
    if (fault.code !== 'internal') return fault;
    this.#parts.onInternal(fault);
    return new Fault('internal', 'the kernel could not serve this call');
  }
}

function makeContext(process: CapsuleProcess, recheck: CallContext['recheck']): CallContext {
  const running = process.running;
  if (running === null) throw new Fault('internal', 'a host call outside an invocation');
  const { invocation, cancel, wall } = running;
  return {
    capsule: process.name,
    manifest: process.spec.manifest,
    sourceId: process.sourceId,
    actor: invocation.actor,
    cancel: cancel.signal,
    recheck,
    setWaiting: (what) => process.setWaiting(running, what),
    pauseClock: () => wall?.pause(),
    resumeClock: () => (running === process.running ? wall?.resume() : undefined),
  };
}

function describeAction(call: OpenCall, args: readonly Buffer[]): Action {
  const { row, handler, request, context } = call;
  return {
    call: row,
    name: row.name.replace('astrid_', ''),
    manifest: context.manifest,
    capsule: context.capsule,
    principal: context.actor.principal,
    session: context.actor.session,
    resource: call.resource,
    ...scopeOf(call),
    covered: handler.covers === undefined ? null : handler.covers(request, context),
    argsHash: call.argsHash ?? '',
    argBytes: args.reduce((sum, arg) => sum + arg.length, 0),
    detail: () => handler.preview?.(request, context) ?? Promise.resolve([]),
    risk: 'medium',
    cancel: context.cancel,
  };
}

function scopeOf({ handler, request, context }: OpenCall): { scope?: string } {
  const scope = handler.scope?.(request, context);
  return scope === undefined ? {} : { scope };
}

/** SHA-256 over name and arguments, each with its length: two different calls never hash alike by concatenation. */
function hashArguments(name: string, args: readonly Buffer[]): string {
  const head = `${name} ${args.map((arg) => arg.length).join(' ')}\n`;
  const [only] = args;
  // Most calls have one small argument: one call into native code instead of four.
  if (args.length === 1 && only !== undefined && only.length <= SMALL_ARGUMENT_BYTES)
    return hash('sha256', Buffer.concat([Buffer.from(head), only]));
  const streaming = createHash('sha256').update(head);
  for (const arg of args) streaming.update(arg);
  return streaming.digest('hex');
}
