import { asFault } from '../../abi/errno.js';
import { CapsuleProcess } from '../proc/capsule-process.js';
import type { CapsuleSpec, ProcessHooks } from '../proc/capsule-spec.js';
import type { Invocation, InvocationOutcome } from '../proc/invocation.js';

/** What is under way, so that a test can wait until nothing is. */
export class Pending {
  readonly #open = new Set<Promise<unknown>>();

  track<T>(work: Promise<T>): Promise<T> {
    this.#open.add(work);
    const done = () => void this.#open.delete(work);
    work.then(done, done);
    return work;
  }

  /** Resolves once nothing is under way and nothing new came of what was. */
  async idle(): Promise<void> {
    for (let quietTurns = 0; quietTurns < 2; ) {
      if (this.#open.size > 0) {
        quietTurns = 0;
        await Promise.allSettled(this.#open);
      }
      await new Promise((resolve) => setImmediate(resolve));
      if (this.#open.size === 0) quietTurns++;
    }
  }
}

/** The capsule under test, whose invocations are counted. */
export class TestedProcess extends CapsuleProcess {
  readonly #pending: Pending;

  constructor(spec: CapsuleSpec, hooks: ProcessHooks, pending: Pending) {
    super(spec, hooks);
    this.#pending = pending;
  }

  override submit(invocation: Invocation): Promise<InvocationOutcome> {
    return this.#pending.track(super.submit(invocation));
  }
}

/** A capsule that is a function of the test: hooks reach it as they reach every other, and no process is behind it. */
export class ScriptedPeer extends CapsuleProcess {
  readonly #replies = new Map<string, (payload: unknown) => unknown>();

  /** The action under which a reply is registered with the router. */
  add(reply: (payload: unknown) => unknown): string {
    const action = `reply_${this.#replies.size + 1}`;
    this.#replies.set(action, reply);
    return action;
  }

  override get isReady(): boolean {
    return true;
  }

  override get refusal(): null {
    return null;
  }

  override async submit({ input }: Invocation): Promise<InvocationOutcome> {
    try {
      const { name, arguments: bytes } = JSON.parse(input.toString('utf8')) as { name: string; arguments: number[] };
      const text = Buffer.from(bytes).toString('utf8');
      const answer = await this.#replies.get(name)?.(text === '' ? undefined : JSON.parse(text));
      // `continue` with a payload (ABI reference 3.3), or nothing at all.
      const output = answer === undefined ? '' : `\u0000${JSON.stringify(answer)}`;
      return { kind: 'done', returnCode: 0, output: Buffer.from(output), error: '' };
    } catch (error) {
      return { kind: 'failed', fault: asFault(error) };
    }
  }
}
