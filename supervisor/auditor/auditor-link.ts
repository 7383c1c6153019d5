import {
  decodeToSupervisor,
  type ToAuditor,
  type ToSupervisor,
  type ToSupervisorOf,
} from '../../abi/audit/protocol.js';
import { Fault } from '../../abi/errno.js';
import { LIMITS } from '../../abi/limits.js';
import { FrameConnection } from '../../bus/connection.js';
import type { AuditorProcess } from './spawn.js';

export interface LinkHandlers {
  readonly onAck: (ack: ToSupervisorOf<'ack'>) => void;
  /** A refused append; refused questions go to who asked. */
  readonly onNack: (nack: ToSupervisorOf<'nack'>) => void;
  /** Told once, when it can no longer be used, for whatever reason. */
  readonly onEnd: (fault: Fault) => void;
}

type Question = Extract<ToAuditor, { t: 'tail' | 'prove' | 'consistency' }>;
type WithoutId<T> = T extends unknown ? Omit<T, 'id'> : never;

interface Waiter {
  readonly onReply: (reply: ToSupervisor) => boolean;
  readonly reject: (fault: Fault) => void;
}

/** Ids of questions, apart from those of appends. */
const QUESTION_IDS_FROM = 2 ** 40;

/** One auditor process and the talk with it. Its end, on either side, answers everybody who waits and ends the process. */
export class AuditorLink {
  readonly #process: AuditorProcess;
  readonly #connection: FrameConnection;
  readonly #handlers: LinkHandlers;
  readonly #questions = new Map<number, Waiter>();
  #opening: { resolve: (opened: ToSupervisorOf<'opened'>) => void; reject: (fault: Fault) => void } | null = null;
  #nextId = QUESTION_IDS_FROM;
  #closing = false;
  #ended = false;

  constructor(process: AuditorProcess, handlers: LinkHandlers) {
    this.#process = process;
    this.#handlers = handlers;
    this.#connection = new FrameConnection(process.channel, { frameBytesMax: LIMITS.auditFrameBytesMax });
    this.#connection.onFrame((value) => this.#take(decodeToSupervisor(value)));
    this.#connection.onClose((fault) => this.#end(fault ?? new Fault('connection_closed', 'the auditor has ended')));
    // Its end alone is enough: a child of its own could hold the channel open.
    void process.exited.then(({ code, signal }) =>
      this.#end(new Fault('connection_closed', `the auditor has ended (${signal ?? `code ${code}`})`)),
    );
  }

  get pid(): number {
    return this.#process.pid;
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** Asks it to open its log. Rejects with the Fault it refuses with, or `connection_closed`. */
  open(checkpoint: string | null): Promise<ToSupervisorOf<'opened'>> {
    return new Promise((resolve, reject) => {
      if (this.#ended) return reject(new Fault('connection_closed', 'the auditor has ended'));
      this.#opening = { resolve, reject };
      this.#connection.send({ t: 'open', checkpoint });
    });
  }

  append(id: number, epoch: number, events: readonly Buffer[]): void {
    this.#connection.send({ t: 'append', id, epoch, events });
  }

  /** Sends a question; `onReply` takes its answers and returns whether it wants more. Rejects with the auditor's Fault. */
  ask(question: WithoutId<Question>, onReply: (reply: ToSupervisor) => boolean): Promise<void> {
    const id = this.#nextId;
    this.#nextId += 1;
    return new Promise((resolve, reject) => {
      if (this.#ended) return reject(new Fault('audit_unavailable', 'the auditor is down'));
      const take = (reply: ToSupervisor): boolean => {
        const more = onReply(reply);
        if (!more) resolve();
        return more;
      };
      this.#questions.set(id, { onReply: take, reject });
      this.#connection.send({ ...question, id });
    });
  }

  /** Lets it finish what it has, and waits for its end; after `graceMs` it is killed. */
  async close(graceMs: number): Promise<void> {
    this.#closing = true;
    this.#connection.close();
    const timer = setTimeout(() => this.#process.kill(), graceMs);
    await this.#process.exited;
    clearTimeout(timer);
  }

  /** Ends it at once. */
  async destroy(fault: Fault): Promise<void> {
    this.#end(fault);
    await this.#process.exited;
  }

  #take(message: ToSupervisor): void {
    if (message.t === 'opened' || message.t === 'refused') {
      const opening = this.#opening;
      this.#opening = null;
      if (opening === null) throw new Fault('bad_protocol', `auditor protocol: unexpected ${message.t}`);
      if (message.t === 'opened') opening.resolve(message);
      else opening.reject(new Fault(message.code, `auditor: ${message.message}`));
      return;
    }
    if (message.t === 'ack') {
      this.#handlers.onAck(message);
      return;
    }
    const waiter = this.#questions.get(message.id);
    if (waiter === undefined) {
      if (message.t === 'nack') {
        this.#handlers.onNack(message);
        return;
      }
      throw new Fault('bad_protocol', `auditor protocol: ${message.t} that nobody asked for`);
    }
    if (message.t === 'nack') {
      this.#questions.delete(message.id);
      waiter.reject(new Fault(message.code, message.message));
    } else if (!waiter.onReply(message)) {
      this.#questions.delete(message.id);
    }
  }

  #end(fault: Fault): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#connection.destroy();
    // One that was asked to finish ends by itself; `close` waits for it.
    if (!this.#closing) this.#process.kill();
    this.#opening?.reject(fault);
    this.#opening = null;
    const waiters = [...this.#questions.values()];
    this.#questions.clear();
    for (const { reject } of waiters) reject(new Fault('audit_unavailable', 'the auditor is down', { cause: fault }));
    if (!this.#closing) this.#handlers.onEnd(fault);
  }
}
