import { setImmediate as nextTurn } from 'node:timers/promises';
import { asFault, Fault } from '../abi/errno.js';
import { LIMITS } from '../abi/limits.js';
import { decodeInterceptResult, runChain } from '../bus/interceptor-chain.js';
import type { Actor, BusMessage } from '../bus/message.js';
import { interceptorView } from '../bus/payload.js';
import type { Matched } from '../bus/router.js';
import { Errand } from './errand.js';
import { type AnswerRoom, type HookAnswer, readAnswer, takeAnswer } from './hook-answer.js';
import type { CapsuleProcess } from './proc/capsule-process.js';
import { RequestPayload } from './proc/guest-request.js';
import type { Invocation, InvocationOutcome } from './proc/invocation.js';

/** How long a publisher waits for room in a full queue before the message is dropped and counted. */
const SPACE_WAIT_MS = 2000;

/** Topics whose failed delivery is not announced: the announcement could fail alike, and nobody waits for a tick. */
const UNANNOUNCED = new Set(['astrid.v1.delivery.failed', 'astrid.v1.watchdog.tick', 'astrid.v1.event_bus.lagged']);

const NOTHING = new RequestPayload(Buffer.alloc(0));

export interface DeliveryParts {
  readonly processOf: (endpoint: string) => CapsuleProcess | undefined;
  readonly publishKernel: (topic: string, data: unknown, actor: Actor, bytes: number) => void;
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
   * queue makes the publisher wait, or a chain on its way past full queues: that is the backpressure.
   */
  deliver(message: BusMessage, matches: readonly Matched[]): undefined | Promise<void> {
    const [first] = matches;
    if (first === undefined) return undefined;
    const payload = new RequestPayload(Buffer.from(JSON.stringify(interceptorView(message.payload)) ?? 'null'));
    const errand = new Errand(message);
    if (matches.length > 1 || first.hand !== undefined) {
      const busy = this.#onlyCalled(matches);
      // Run loops that listen take no part in the backpressure of the one that is called.
      if (busy?.queue.isFull)
        return this.#waitForRoom(busy).then(() => void this.#deliverChain(errand, matches, payload));
      void this.#deliverChain(errand, matches, payload);
      return errand.whenParked();
    }
    const process = this.#parts.processOf(first.endpoint);
    if (process === undefined) return undefined;
    if (process.spec.adaptor?.owns(first.action) === true) {
      void this.#submitAdapted(process, first.action, payload, errand);
      return undefined;
    }
    const send = () => {
      void this.#submit(process, errand, () => this.#invocation(process, first.action, payload, message));
      return undefined;
    };
    return process.queue.isFull ? this.#sendWhenRoom(process, send, errand) : send();
  }

  /** A hook's call of one capsule: its output, within the room that is left (ABI reference 2.11). Never rejects. */
  async callHook(
    process: CapsuleProcess,
    match: Matched,
    payload: RequestPayload,
    actor: Actor,
    room: AnswerRoom,
  ): Promise<HookAnswer> {
    const label = `hook ${match.event}`;
    const { adaptor } = process.spec;
    try {
      if (adaptor?.owns(match.action) === true) return takeAnswer(adaptor.describe(match.action), room);
      const { refusal } = process;
      const invoke = () => ({ ...this.#invocation(process, match.action, payload, null), actor, label });
      const outcome = refusal === null ? await process.submit(invoke()) : failedWith(refusal);
      const result = decodeInterceptResult(outputOf(outcome));
      if (result.kind === 'deny') {
        this.#parts.log(process.name, `denied ${label}: ${result.reason}`);
        return { kind: 'denied' };
      }
      return result.payload === undefined ? { kind: 'none' } : readAnswer(result.payload, room);
    } catch (error) {
      const { code, message } = asFault(error);
      this.#parts.log(process.name, `handling ${label} failed: ${code}: ${message}`);
      return { kind: match.fail === 'closed' ? 'denied' : 'none' };
    }
  }

  /** Asks for room first: a capsule that takes nothing is not worth a request of five times the payload. */
  #submit(process: CapsuleProcess, errand: Errand, make: () => Invocation): Promise<InvocationOutcome> {
    const { refusal } = process;
    const taken = refusal === null ? process.submit(make()) : Promise.resolve(failedWith(refusal));
    if (refusal === null) errand.park();
    // Not awaited here: what `make` holds beside the request would live as long as the call waits.
    return this.#reported(process, errand, taken);
  }

  async #reported(
    process: CapsuleProcess,
    errand: Errand,
    taken: Promise<InvocationOutcome>,
  ): Promise<InvocationOutcome> {
    const outcome = await taken;
    this.#report(process, errand, outcome);
    return outcome;
  }

  /** The one capsule that is called by a chain, or undefined when there are several. */
  #onlyCalled(matches: readonly Matched[]): CapsuleProcess | undefined {
    const [called, ...more] = matches.filter(({ hand }) => hand === undefined);
    return called === undefined || more.length > 0 ? undefined : this.#parts.processOf(called.endpoint);
  }

  async #sendWhenRoom(process: CapsuleProcess, send: () => void, errand: Errand): Promise<void> {
    if (await this.#waitForRoom(process)) {
      send();
      return;
    }
    const full = `${LIMITS.invocationQueueMax} are waiting already`;
    this.#report(process, errand, failedWith(new Fault('rate_limited', full)));
  }

  async #waitForRoom({ queue }: CapsuleProcess): Promise<boolean> {
    const deadline = performance.now() + SPACE_WAIT_MS;
    while (queue.isFull) {
      const leftMs = deadline - performance.now();
      if (leftMs <= 0 || !(await queue.waitForSpace(leftMs))) return false;
    }
    return true;
  }

  /** Each step has a turn of the loop: a chain has hundreds of them, and some end at once. */
  async #deliverChain(errand: Errand, matches: readonly Matched[], payload: RequestPayload): Promise<void> {
    const { message } = errand;
    let current = payload;
    let steps = 0;
    const outcome = await runChain(matches, payload.bytes, async (step, bytes) => {
      if (steps++ > 0) await nextTurn();
      // What a step replaced is encoded anew, once for all that get it.
      if (bytes !== current.bytes) current = new RequestPayload(bytes);
      if (step.hand !== undefined) {
        this.#hand(step, errand, current === payload ? null : bytes);
        return { kind: 'continue' };
      }
      const process = this.#parts.processOf(step.endpoint);
      if (process === undefined) throw new Fault('not_ready', 'the capsule is not there');
      if (process.spec.adaptor?.owns(step.action) === true) {
        await this.#submitAdapted(process, step.action, current, errand);
        return { kind: 'continue' };
      }
      const request = current;
      const invoke = () => this.#invocation(process, step.action, request, message);
      return decodeInterceptResult(outputOf(await this.#submit(process, errand, invoke)));
    });
    errand.park();
    if (outcome.verdict === 'deny') {
      const by = outcome.endedBy?.endpoint ?? 'a closed interceptor';
      this.#parts.log(by, `denied ${message.topic}: ${outcome.reason ?? 'no reason given'}`);
    }
  }

  /** A run loop's place in the chain. What an earlier step made of the payload may be no payload: then there is nothing to hand over. */
  #hand({ endpoint, hand }: Matched, { message }: Errand, replaced: Buffer | null): void {
    try {
      hand?.(replaced);
    } catch (error) {
      const { code, message: reason } = asFault(error);
      this.#parts.log(endpoint, `did not get ${message.topic}, whose payload was replaced: ${code}: ${reason}`);
    }
  }

  /** A tool or command of an export of its own: called like an interceptor, and its answer published for it. */
  async #submitAdapted(
    process: CapsuleProcess,
    action: string,
    payload: RequestPayload,
    errand: Errand,
  ): Promise<void> {
    const { message } = errand;
    const call = process.spec.adaptor?.call(action, payload.bytes) ?? null;
    if (call === null) return;
    const { exportName, input } = call;
    const outcome = await this.#submit(process, errand, () => ({
      ...this.#invocation(process, action, NOTHING, message),
      exportName,
      input,
    }));
    try {
      const answer = call.answer(outcome);
      await this.#parts.publishFor(process.name, answer.topic, answer.payload, message.actor);
    } catch (error) {
      const { code, message: reason } = asFault(error);
      this.#parts.log(process.name, `the answer to ${message.topic} was not published: ${code}: ${reason}`);
    }
  }

  #invocation(
    process: CapsuleProcess,
    action: string,
    payload: RequestPayload,
    message: BusMessage | null,
  ): Invocation {
    return {
      exportName: 'astrid_hook_trigger',
      input: payload.request(action),
      actor: message?.actor ?? { principal: process.spec.principal, attribution: 'system', session: null },
      message,
      label: message?.topic ?? action,
      wallMs: process.spec.manifest.limits.wallMs,
    };
  }

  /** A failed handler is said on the bus, in the same session: whoever waits for its answer can stop waiting. */
  #report(process: CapsuleProcess, errand: Errand, outcome: InvocationOutcome): void {
    const fault = failureOf(outcome);
    if (fault === null) return;
    const { message } = errand;
    this.#parts.log(process.name, `handling ${message.topic} failed: ${fault.code}: ${fault.message}`);
    if (UNANNOUNCED.has(message.topic) || !errand.takeAnnouncement(process.name)) return;
    const failure = {
      topic: message.topic,
      capsule_id: process.name,
      code: announcedCode(fault, process),
      reason: fault.message,
      payload: interceptorView(message.payload),
    };
    const bytes = message.payloadBytes + Buffer.byteLength(JSON.stringify({ ...failure, payload: null }));
    this.#parts.publishKernel('astrid.v1.delivery.failed', failure, message.actor, bytes);
  }
}

/** `cancelled` tells that nobody will take it up. One that was ended and comes back is asked again, as after a crash. */
function announcedCode({ code }: Fault, { state }: CapsuleProcess): Fault['code'] {
  return code === 'cancelled' && state !== 'stopping' && state !== 'stopped' ? 'crashed' : code;
}

const failedWith = (fault: Fault): InvocationOutcome => ({ kind: 'failed', fault });

/** A handler fails by a trap, by its process's end, or by a return code other than zero with a text. */
function failureOf(outcome: InvocationOutcome): Fault | null {
  if (outcome.kind === 'failed') return outcome.fault;
  if (outcome.returnCode === 0) return null;
  return new Fault('crashed', outcome.error === '' ? `the handler returned ${outcome.returnCode}` : outcome.error);
}

/** What a handler wrote; throws how it failed. */
function outputOf(outcome: InvocationOutcome): Buffer {
  const fault = failureOf(outcome);
  if (fault !== null || outcome.kind === 'failed') throw fault ?? new Fault('crashed', 'the handler failed');
  return outcome.output;
}
