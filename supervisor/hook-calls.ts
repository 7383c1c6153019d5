import { setImmediate as nextTurn } from 'node:timers/promises';
import { Fault } from '../abi/errno.js';
import { LIMITS } from '../abi/limits.js';
import type { Matched, Router } from '../bus/router.js';
import type { Delivery } from './delivery.js';
import type { AnswerRoom, HookAnswer } from './hook-answer.js';
import type { CapsuleProcess } from './proc/capsule-process.js';
import { RequestPayload } from './proc/guest-request.js';
import type { CallContext } from './syscalls/handler.js';
import { WaitGraph } from './wait-graph.js';

export interface HookCallParts {
  readonly router: Router;
  readonly delivery: Delivery;
  readonly processOf: (capsule: string) => CapsuleProcess | undefined;
}

/** One hook under way: who asked what, and how much room its answers have left. */
interface Question {
  readonly topic: string;
  readonly payload: RequestPayload;
  readonly context: CallContext;
  readonly room: AnswerRoom;
}

const NO_ANSWER: HookAnswer = { kind: 'none' };

/** `astrid_trigger_hook`: a question to every capsule that intercepts a topic (ABI reference 2.11). */
export class HookCalls {
  readonly #parts: HookCallParts;
  readonly #waits = new WaitGraph();

  constructor(parts: HookCallParts) {
    this.#parts = parts;
  }

  /**
   * The answers as a JSON list. Every ready capsule but the caller whose interceptor matches is asked; two matches in one are two calls.
   * Who may not publish on the topic reaches only those who answer discovery. They are asked beside each other: it takes as long as
   * the slowest. Anything else makes capsules act, so it goes from one to the next in the order of a message, and a guard's deny
   * ends it as it ends a message.
   */
  async trigger(topic: string, payload: unknown, context: CallContext, mayAct: boolean): Promise<Buffer> {
    const found = this.#parts.router.matchInterceptors(topic);
    const matches = mayAct ? found : found.filter(isDiscovery);
    const question: Question = {
      topic,
      payload: new RequestPayload(Buffer.from(JSON.stringify(payload) ?? 'null')),
      context,
      room: { leftBytes: LIMITS.hookAnswersBytesMax },
    };
    const answers = matches.every(isDiscovery)
      ? await this.#askAll(matches, question)
      : await this.#askInOrder(matches, question);
    const texts = answers.flatMap((answer) => (answer.kind === 'answer' ? [answer.text] : []));
    return Buffer.from(`[${texts.join(',')}]`);
  }

  /** Each call is begun in a turn of its own: the kernel makes a request for each of them. */
  #askAll(matches: readonly Matched[], question: Question): Promise<HookAnswer[]> {
    let turn: Promise<unknown> = Promise.resolve();
    const calls = matches.map((match) => {
      const mine = turn;
      turn = turn.then(() => nextTurn());
      return mine.then(() => this.#ask(match, question));
    });
    return Promise.all(calls);
  }

  async #askInOrder(matches: readonly Matched[], question: Question): Promise<HookAnswer[]> {
    const answers: HookAnswer[] = [];
    for (const match of matches) {
      const answer = await this.#ask(match, question);
      if (answer.kind === 'denied') break;
      answers.push(answer);
      await nextTurn();
    }
    return answers;
  }

  async #ask(match: Matched, { topic, payload, context, room }: Question): Promise<HookAnswer> {
    // Nobody waits for the answers any more, and what is asked may act.
    if (context.cancel.aborted) throw new Fault('cancelled', 'the capsule that asked has ended');
    const process = this.#parts.processOf(match.endpoint);
    if (process?.name === context.capsule) return NO_ANSWER;
    // What must not be skipped denies when it is not there, as in the chain of a message.
    if (process === undefined || !process.isReady) return match.fail === 'closed' ? { kind: 'denied' } : NO_ANSWER;
    const release = this.#waits.add(context.capsule, process.name);
    if (release === null) {
      throw new Fault('conflict', `a cycle: ${topic} would wait for a capsule that waits for this one`, {
        field: 'hook',
      });
    }
    try {
      return await this.#parts.delivery.callHook(process, match, payload, context.actor, room);
    } finally {
      release();
    }
  }
}

const isDiscovery = ({ event }: Matched) => event.endsWith('.describe');
