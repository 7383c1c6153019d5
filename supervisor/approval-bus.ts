import type { ApprovalDecision, ApprovalRow } from '../abi/control.js';
import { asFault, type Fault } from '../abi/errno.js';
import type { Actor, BusMessage } from '../bus/message.js';
import type { Approvals } from './gate/approvals.js';
import { fieldsOf, type InboxRow } from './kernel-inbox.js';

const ASK_TOPIC = 'astrid.v1.approval';
const ANSWER_PREFIX = 'astrid.v1.approval.response.';

/** The original's words. What it kept for ever is kept for the session here: a lasting grant is an operator's to give. */
const DECISIONS: Readonly<Record<string, ApprovalDecision>> = {
  approve: 'once',
  approve_session: 'session',
  approve_always: 'session',
  deny: 'deny',
};

export interface ApprovalBusParts {
  readonly approvals: Pick<Approvals, 'follow' | 'list' | 'answer'>;
  /** The capsule of an endpoint, which is also that of its install hooks; undefined for one that is gone. */
  readonly capsuleAt: (endpoint: string) => string | undefined;
  readonly publishKernel: (topic: string, payload: unknown, actor: Actor) => void;
  /** Resolves when the log has the answer; without that it does not count. */
  readonly record: (resource: string, by: string) => Promise<void>;
  readonly log: (capsule: string, message: string) => void;
  readonly onFault: (fault: Fault) => void;
}

/**
 * Approvals of people behind an uplink capsule (ABI reference 2.10 and 5.8). An uplink is offered, and may answer, only questions
 * that belong to no session of the kernel: those in front of a terminal answer theirs themselves. And no capsule allows what it
 * asks for itself.
 */
export class ApprovalBus {
  readonly #parts: ApprovalBusParts;
  readonly #asked = new Set<string>();

  constructor(parts: ApprovalBusParts) {
    this.#parts = parts;
  }

  /** Offers questions as they come, until released. */
  start(): () => void {
    return this.#parts.approvals.follow(null, (row) => this.#offer(row));
  }

  get inbox(): InboxRow {
    return { prefix: ANSWER_PREFIX, receive: (from, message) => this.#receive(from, message) };
  }

  #offer(row: ApprovalRow): void {
    if (row.session !== '') return;
    if (row.state !== 'pending') {
      this.#asked.delete(row.id);
      return;
    }
    if (this.#asked.has(row.id)) return;
    this.#asked.add(row.id);
    const { id, action, resource, why, risk, principal } = row;
    const payload = { type: 'approval_required', request_id: id, action, resource, reason: why, risk_level: risk };
    this.#parts.publishKernel(ASK_TOPIC, payload, { principal, attribution: 'system', session: null });
  }

  #receive(from: string | null, { topic, payload, actor }: BusMessage): void {
    const id = topic.slice(ANSWER_PREFIX.length);
    const row = this.#parts.approvals.list().find((open) => open.id === id);
    // Late, made up, of a session or of another principal: for whoever sent it there is no such question.
    if (from === null || row === undefined || row.session !== '' || row.principal !== actor.principal) return;
    const capsule = this.#parts.capsuleAt(from);
    if (capsule === undefined) return;
    // By its name and not its endpoint: the hook of an upgrade has an endpoint of its own, and would answer for what runs beside it.
    if (capsule === row.capsule) {
      this.#parts.log(capsule, 'an answer to a question of its own was dropped');
      return;
    }
    const said = findDecision(fieldsOf(payload)['decision']);
    if (said === undefined) {
      this.#parts.log(
        capsule,
        `an approval answer was dropped: decision: expected ${Object.keys(DECISIONS).join(', ')}`,
      );
      return;
    }
    const decision = row.decisions.includes(said) ? said : 'once';
    this.#answer(id, decision, `uplink ${capsule}`).catch((error: unknown) => {
      const fault = asFault(error);
      if (fault.code === 'internal') this.#parts.onFault(fault);
      else this.#parts.log(capsule, `an approval answer was not taken: ${fault.message}`);
    });
  }

  async #answer(id: string, decision: ApprovalDecision, by: string): Promise<void> {
    await this.#parts.record(`${id} ${decision}`, by);
    await this.#parts.approvals.answer(id, decision, by);
  }
}

function findDecision(said: unknown): ApprovalDecision | undefined {
  return typeof said === 'string' && Object.hasOwn(DECISIONS, said) ? DECISIONS[said] : undefined;
}
