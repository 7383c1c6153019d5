import { asFault, Fault, isFaultCode } from '../../abi/errno.js';
import { LIMITS } from '../../abi/limits.js';
import type { SyscallRow } from '../../abi/syscalls/row.js';
import { syscallByNumber } from '../../abi/table.js';
import {
  FROM_WORKER,
  type InterceptorHandle,
  LOG_LEVELS,
  type LoadReport,
  type LoadRequest,
  type LogLevel,
  TO_WORKER,
} from '../../abi/worker-protocol.js';
import { FrameConnection } from '../../bus/connection.js';
import { HotLoop } from './hot-loop.js';
import type { InvocationOutcome } from './invocation.js';
import type { WorkerProcess } from './spawn.js';

export type { InterceptorHandle, LoadReport, LoadRequest };

export interface LinkHandlers {
  onCall(call: SyscallRow, args: readonly Buffer[], reply: (result: Buffer | Fault) => void): void;
  onLog(level: LogLevel, message: string): void;
  onReady(): void;
  /** The worker broke the protocol: it must not live on. */
  onViolation(fault: Fault): void;
}

/** One event loop, one of these. */
const hotLoop = new HotLoop();

type Phase =
  | { readonly kind: 'new' }
  | { readonly kind: 'loading'; readonly settle: (result: LoadReport | Fault) => void }
  | { readonly kind: 'idle' }
  | { readonly kind: 'invoking'; readonly id: number; readonly settle: (outcome: InvocationOutcome) => void }
  | { readonly kind: 'closed' };

/**
 * The supervisor's end of a worker's channel. It decodes, checks order and shapes, and believes nothing: a frame that is
 * malformed, out of order or of an unknown kind is a violation and never an exception (design section 2).
 */
export class WorkerLink {
  readonly #connection: FrameConnection;
  readonly #handlers: LinkHandlers;
  #phase: Phase = { kind: 'new' };
  #invocationId = 0;
  #openCall: number | null = null;
  #lastCall = 0;

  constructor(worker: WorkerProcess, handlers: LinkHandlers) {
    this.#handlers = handlers;
    this.#connection = new FrameConnection(worker.channel, {
      frameBytesMax: LIMITS.workerFrameBytesMax,
      sendBytesMax: LIMITS.controlFrameBytesMax,
    });
    this.#connection.onFrame((frame) => this.#receive(frame));
    this.#connection.onClose((fault) => {
      if (fault !== null && fault.code !== 'connection_closed') this.#violate(fault);
      this.#end();
    });
  }

  load(request: LoadRequest): Promise<LoadReport> {
    // The process may have ended before there was anything to say to it.
    if (this.#phase.kind !== 'new') return Promise.reject(new Fault('crashed', 'the capsule process ended'));
    return new Promise((resolve, reject) => {
      const settle = (result: LoadReport | Fault) => (result instanceof Fault ? reject(result) : resolve(result));
      this.#phase = { kind: 'loading', settle };
      const fault = this.#send([TO_WORKER.load, request]);
      if (fault === null) return;
      this.#phase = { kind: 'closed' };
      reject(fault);
    });
  }

  invoke(exportName: string, input: Buffer, callerJson: string | null): Promise<InvocationOutcome> {
    return new Promise((resolve) => {
      if (this.#phase.kind !== 'idle') {
        resolve({ kind: 'failed', fault: new Fault('crashed', 'the capsule is not there') });
        return;
      }
      const id = ++this.#invocationId;
      this.#phase = { kind: 'invoking', id, settle: resolve };
      const fault = this.#send([TO_WORKER.invoke, id, exportName, input, callerJson]);
      if (fault !== null) this.#settleInvocation({ kind: 'failed', fault });
    });
  }

  get isIdle(): boolean {
    return this.#phase.kind === 'idle';
  }

  /** The process is gone: whoever waits gets this answer, and the channel is of no use any more. */
  abandon(why: Fault): void {
    this.#end(why);
    this.#connection.destroy();
  }

  #receive(frame: unknown): void {
    if (this.#phase.kind === 'closed') return;
    const fault = Array.isArray(frame) ? this.#handle(frame) : new Fault('bad_frame', 'a frame that is not a list');
    if (fault !== null) this.#violate(fault);
  }

  #handle(frame: readonly unknown[]): Fault | null {
    switch (frame[0]) {
      case FROM_WORKER.call:
        return this.#handleCall(frame);
      case FROM_WORKER.done:
        return this.#handleDone(frame);
      case FROM_WORKER.trapped:
        return this.#handleTrapped(frame);
      case FROM_WORKER.log:
        return this.#handleLog(frame);
      case FROM_WORKER.ready:
        if (this.#phase.kind !== 'invoking') return outOfOrder('ready');
        this.#handlers.onReady();
        return null;
      case FROM_WORKER.loaded:
        return this.#handleLoaded(frame);
      case FROM_WORKER.loadFailed:
        return this.#handleLoadFailed(frame);
      default:
        return new Fault('bad_frame', 'a frame of an unknown kind');
    }
  }

  #handleCall(frame: readonly unknown[]): Fault | null {
    const [, id, number, ...args] = frame;
    if (this.#phase.kind !== 'invoking' || this.#openCall !== null) return outOfOrder('a host call');
    if (typeof id !== 'number' || id !== this.#lastCall + 1)
      return new Fault('bad_frame', 'a host call with a repeated or skipped id');
    const call = typeof number === 'number' ? syscallByNumber(number) : undefined;
    if (call === undefined || call.path !== 'supervisor')
      return new Fault('bad_frame', 'a host call with an unknown number');
    if (args.length !== call.params.length || !args.every((arg) => Buffer.isBuffer(arg))) {
      return new Fault('bad_frame', `${call.name} takes ${call.params.length} byte strings`);
    }
    // The worker checks this, too, and a worker that was taken over does not.
    const over = call.params.find((spec, index) => (args[index] as Buffer).length > spec.bytesMax);
    if (over !== undefined)
      return new Fault('bad_frame', `${call.name} takes at most ${over.bytesMax} bytes of ${over.name}`);
    this.#openCall = id;
    this.#lastCall = id;
    this.#handlers.onCall(call, args as Buffer[], (result) => this.#reply(id, result));
    return null;
  }

  #reply(id: number, result: Buffer | Fault): void {
    if (this.#openCall !== id) return;
    this.#openCall = null;
    const fault = result instanceof Fault ? result : this.#send([TO_WORKER.reply, id, 0, result]);
    if (fault !== null) this.#send([TO_WORKER.reply, id, 1, fault.code, fault.message]);
    hotLoop.replied();
  }

  /** What is too large to be sent is an answer to whoever waits for it, and not an exception in the kernel. */
  #send(frame: unknown): Fault | null {
    try {
      this.#connection.send(frame);
      return null;
    } catch (error) {
      const { code, message } = asFault(error);
      return new Fault(code === 'frame_too_large' ? 'too_large' : code, message, { cause: error });
    }
  }

  #handleDone(frame: readonly unknown[]): Fault | null {
    const [, id, returnCode, output, error] = frame;
    if (this.#phase.kind !== 'invoking' || this.#phase.id !== id || this.#openCall !== null)
      return outOfOrder('a result');
    if (typeof returnCode !== 'number' || !Buffer.isBuffer(output) || typeof error !== 'string') {
      return new Fault('bad_frame', 'a result of the wrong shape');
    }
    this.#settleInvocation({ kind: 'done', returnCode, output, error });
    return null;
  }

  #handleTrapped(frame: readonly unknown[]): Fault | null {
    const [, id, code, message] = frame;
    if (this.#phase.kind !== 'invoking' || this.#phase.id !== id || this.#openCall !== null)
      return outOfOrder('a trap');
    if (!isFaultCode(code) || typeof message !== 'string') return new Fault('bad_frame', 'a trap of the wrong shape');
    this.#settleInvocation({ kind: 'failed', fault: new Fault(code, message.slice(0, LIMITS.logMessageBytesMax)) });
    return null;
  }

  #settleInvocation(outcome: InvocationOutcome): void {
    if (this.#phase.kind !== 'invoking') return;
    const { settle } = this.#phase;
    this.#phase = { kind: 'idle' };
    settle(outcome);
  }

  #handleLog(frame: readonly unknown[]): Fault | null {
    const level = LOG_LEVELS.find((known) => known === frame[1]);
    const message = frame[2];
    if (level === undefined || typeof message !== 'string')
      return new Fault('bad_frame', 'a log line of the wrong shape');
    this.#handlers.onLog(level, message.slice(0, LIMITS.logMessageBytesMax));
    return null;
  }

  #handleLoaded(frame: readonly unknown[]): Fault | null {
    if (this.#phase.kind !== 'loading') return outOfOrder('loaded');
    const report = frame[1];
    const names: unknown = typeof report === 'object' && report !== null && 'exports' in report ? report.exports : null;
    if (!Array.isArray(names) || !names.every((name): name is string => typeof name === 'string')) {
      return new Fault('bad_frame', 'a load report of the wrong shape');
    }
    const { settle } = this.#phase;
    this.#phase = { kind: 'idle' };
    settle({ exports: names });
    return null;
  }

  #handleLoadFailed(frame: readonly unknown[]): Fault | null {
    if (this.#phase.kind !== 'loading') return outOfOrder('load failed');
    const [, code, message] = frame;
    const { settle } = this.#phase;
    this.#phase = { kind: 'closed' };
    settle(
      new Fault(isFaultCode(code) ? code : 'bad_module', typeof message === 'string' ? message : 'no reason given'),
    );
    return null;
  }

  #violate(fault: Fault): void {
    this.#handlers.onViolation(fault);
    this.#end(fault);
    this.#connection.destroy();
  }

  /** Everyone who waits gets one answer. */
  #end(fault = new Fault('crashed', 'the capsule process ended')): void {
    const phase = this.#phase;
    if (phase.kind === 'closed') return;
    this.#phase = { kind: 'closed' };
    if (phase.kind === 'loading') phase.settle(fault);
    if (phase.kind === 'invoking') phase.settle({ kind: 'failed', fault });
  }
}

function outOfOrder(what: string): Fault {
  return new Fault('bad_frame', `${what} out of order`);
}
