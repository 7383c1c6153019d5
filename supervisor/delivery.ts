import { asFault, Fault } from '../abi/errno.js';
import { LIMITS } from '../abi/limits.js';
import { decodeInterceptResult, runChain } from '../bus/interceptor-chain.js';
import type { Actor, BusMessage } from '../bus/message.js';
import { interceptorView } from '../bus/payload.js';
import type { Matched } from '../bus/router.js';
import type { CapsuleProcess } from './proc/capsule-process.js';
import { encodeRequest } from './proc/guest-request.js';
import type { Invocation, InvocationOutcome } from './proc/invocation.js';

/** How long a publisher waits for room in a full queue before the message is dropped and counted. */
const SPACE_WAIT_MS = 2000;

/** Topics whose failed delivery is not announced: the announcement could fail alike, and nobody waits for a tick. */
const UNANNOUNCED = new Set(['astrid.v1.delivery.failed', 'astrid.v1.watchdog.tick', 'astrid.v1.event_bus.lagged']);

export interface DeliveryParts {
  readonly processOf: (endpoint: string) => CapsuleProcess | undefined;
  readonly publishKernel: (topic: string, data: unknown, actor: Actor) => void;
  /** Publishes under a capsule's name what the kernel made of its export's answer. */
  readonly publishFor: (endpoint: string, topic: string, payload: unknown, actor: Actor) => undefined | Promise<void>;
  readonly log: (capsule: string, message: string) => void;
}

/** Brings a message to the capsules that intercept it (ABI reference 4.7). Results only matter inside a chain. */
export class Delivery {
  readonly #parts: DeliveryParts;

  constructor(parts: DeliveryParts) {
    this.#parts = parts;
  }

  /**
   * One match goes to that capsule's queue; several are called in order as a chain. The promise is there when a full
   * queue makes the publisher wait: that is the backpressure.
   */
  deliver(message: BusMessage, matches: readonly Matched[]): undefined | Promise<void> {
    const [first] = matches;
    if (first === undefined) return undefined;
    const payload = Buffer.from(JSON.stringify(interceptorView(message.payload)) ?? 'null');
    if (matches.length > 1) {
      void this.#deliverChain(message, matches, payload);
      return undefined;
    }
    const process = this.#parts.processOf(first.endpoint);
    if (process === undefined) return undefined;
    if (process.spec.adaptor?.owns(first.action) === true) {
      void this.#submitAdapted(process, first.action, payload, message);
      return undefined;
    }
    const send = () => this.#send(process, this.#invocation(process, first.action, payload, message));
    return process.queue.isFull ? this.#sendWhenRoom(process, send, message) : send();
  }

  /** A hook's call of one capsule: its output as JSON, or undefined for whatever does not count (ABI reference 2.11). */
  async callHook(process: CapsuleProcess, match: Matched, payload: Buffer, actor: Actor): Promise<unknown> {
    if (process.spec.adaptor?.owns(match.action) === true) return process.spec.adaptor.describe(match.action);
    const invocation: Invocation = {
      ...this.#invocation(process, match.action, payload, null),
      actor,
      label: `hook ${match.event}`,
    };
    const outcome = await process.submit(invocation);
    this.#report(process, invocation, outcome);
    if (failureOf(outcome) !== null || outcome.kind === 'failed') return undefined;
    const result = decodeInterceptResult(outcome.output);
    return result.kind === 'deny' || result.payload === undefined ? undefined : parseOrNothing(result.payload);
  }

  #send(process: CapsuleProcess, invocation: Invocation): undefined {
    void process.submit(invocation).then((outcome) => this.#report(process, invocation, outcome));
    return undefined;
  }

  async #sendWhenRoom(process: CapsuleProcess, send: () => void, message: BusMessage): Promise<void> {
    const deadline = performance.now() + SPACE_WAIT_MS;
    while (process.queue.isFull) {
      const leftMs = deadline - performance.now();
      if (leftMs <= 0 || !(await process.queue.waitForSpace(leftMs))) {
        const full = `${LIMITS.invocationQueueMax} are waiting already`;
        const outcome: InvocationOutcome = { kind: 'failed', fault: new Fault('rate_limited', full) };
        this.#report(process, this.#invocation(process, '', Buffer.alloc(0), message), outcome);
        return;
      }
    }
    send();
  }

  async #deliverChain(message: BusMessage, matches: readonly Matched[], payload: Buffer): Promise<void> {
    const outcome = await runChain(matches, payload, async (step, current) => {
      const process = this.#parts.processOf(step.endpoint);
      if (process === undefined) throw new Fault('not_ready', 'the capsule is not there');
      if (process.spec.adaptor?.owns(step.action) === true) {
        await this.#submitAdapted(process, step.action, current, message);
        return { kind: 'continue' };
      }
      const invocation = this.#invocation(process, step.action, current, message);
      const result = await process.submit(invocation);
      this.#report(process, invocation, result);
      const fault = failureOf(result);
      if (fault !== null || result.kind === 'failed') throw fault ?? new Fault('crashed', 'the handler failed');
      return decodeInterceptResult(result.output);
    });
    if (outcome.verdict === 'deny') {
      const by = outcome.endedBy?.endpoint ?? 'a closed interceptor';
      this.#parts.log(by, `denied ${message.topic}: ${outcome.reason ?? 'no reason given'}`);
    }
  }

  /** A tool or command of an export of its own: called like an interceptor, and its answer published for it. */
  async #submitAdapted(process: CapsuleProcess, action: string, payload: Buffer, message: BusMessage): Promise<void> {
    const call = process.spec.adaptor?.call(action, payload) ?? null;
    if (call === null) return;
    const { exportName, input } = call;
    const invocation = { ...this.#invocation(process, action, payload, message), exportName, input };
    const outcome = await process.submit(invocation);
    this.#report(process, invocation, outcome);
    try {
      const answer = call.answer(outcome);
      await this.#parts.publishFor(process.name, answer.topic, answer.payload, message.actor);
    } catch (error) {
      const { code, message: reason } = asFault(error);
      this.#parts.log(process.name, `the answer to ${message.topic} was not published: ${code}: ${reason}`);
    }
  }

  #invocation(process: CapsuleProcess, action: string, payload: Buffer, message: BusMessage | null): Invocation {
    return {
      exportName: 'astrid_hook_trigger',
      input: encodeRequest(action, payload),
      actor: message?.actor ?? { principal: process.spec.principal, attribution: 'system', session: null },
      message,
      label: message?.topic ?? action,
      wallMs: process.spec.manifest.limits.wallMs,
    };
  }

  /** A failed handler is said on the bus, in the same session: whoever waits for its answer can stop waiting. */
  #report(process: CapsuleProcess, { message, label }: Invocation, outcome: InvocationOutcome): void {
    const fault = failureOf(outcome);
    if (fault === null) return;
    this.#parts.log(process.name, `handling ${label} failed: ${fault.code}: ${fault.message}`);
    if (message === null || UNANNOUNCED.has(message.topic)) return;
    const failure = {
      topic: message.topic,
      capsule_id: process.name,
      code: fault.code,
      reason: fault.message,
      payload: interceptorView(message.payload),
    };
    this.#parts.publishKernel('astrid.v1.delivery.failed', failure, message.actor);
  }
}

/** A handler fails by a trap, by its process's end, or by a return code other than zero with a text. */
function failureOf(outcome: InvocationOutcome): Fault | null {
  if (outcome.kind === 'failed') return outcome.fault;
  if (outcome.returnCode === 0) return null;
  return new Fault('crashed', outcome.error === '' ? `the handler returned ${outcome.returnCode}` : outcome.error);
}

function parseOrNothing(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
