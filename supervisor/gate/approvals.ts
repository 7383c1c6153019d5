import { randomBytes } from 'node:crypto';
import type { ApprovalDecision, ApprovalRow } from '../../abi/control.js';
import { asFault, Fault } from '../../abi/errno.js';
import { LIMITS } from '../../abi/limits.js';
import { ApprovalFollowers, type Follower } from './approval-followers.js';
import { ApprovalLedger, type ApprovalStore } from './approval-ledger.js';
import {
  type ApprovalRecord,
  allowanceOf,
  bindingOf,
  isOpen,
  makeRecord,
  OPEN_STATES,
  type Question,
  toApprovalRow,
} from './approval-record.js';
import { AskRoom } from './ask-room.js';

/** How a question ended. `grant`: an earlier answer of `once` was used up for it. */
export interface Outcome {
  readonly kind: 'grant' | 'once' | 'session' | 'denied' | 'queued' | 'cancelled';
  readonly id: string;
  readonly by: string | null;
}

export interface ApprovalsOptions {
  readonly store: ApprovalStore;
  /** Whether a person can answer what this capsule wants; null: it belongs to no session, and people behind uplinks answer. */
  readonly someoneListens: (session: string | null, capsule: string) => boolean;
  /** Told about what no caller hears: a record that could not be marked, a follower that threw. */
  readonly onFault: (fault: Fault) => void;
  readonly now?: () => number;
  /** Calls back after `ms` unless the returned function is called before. */
  readonly startTimer?: (ms: number, done: () => void) => () => void;
  /** 128 random bits as 32 hexadecimal digits. */
  readonly makeId?: () => string;
}

interface Waiter {
  readonly session: string | null;
  readonly capsule: string;
  readonly settle: (kind: Outcome['kind'], by: string | null) => void;
  /** An answer is being written: until that is done nothing else may end the wait. */
  answering: boolean;
  /** What wanted to end the wait meanwhile; acted upon when the answer could not be written. */
  overdue: boolean;
}

/** What was allowed for the session: by which answer, and to whom. */
interface Allowance {
  readonly id: string;
  readonly capsule: string;
}

/**
 * Questions to people and their answers. An answer is on disk before anything is allowed by it, and is good for the
 * one thing that was shown. See `approval-record.ts` for the life of a record.
 */
export class Approvals {
  readonly #options: ApprovalsOptions;
  readonly #ledger: ApprovalLedger;
  readonly #waiters = new Map<string, Waiter>();
  readonly #allowances = new Map<string, Allowance>();
  readonly #followers: ApprovalFollowers;
  readonly #room: AskRoom;
  readonly #now: () => number;

  constructor(options: ApprovalsOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
    this.#ledger = new ApprovalLedger(options.store);
    this.#room = new AskRoom(this.#now);
    this.#followers = new ApprovalFollowers(options.onFault);
    const { unreadable } = this.#ledger;
    if (unreadable === 0) return;
    options.onFault(new Fault('io_error', `${unreadable} approval records cannot be read; they grant nothing`));
  }

  /** The id of the answer that allows this for the rest of the session, or null. */
  findAllowance(question: Parameters<typeof allowanceOf>[0]): string | null {
    return this.#allowances.size === 0 ? null : (this.#allowances.get(allowanceOf(question))?.id ?? null);
  }

  /**
   * The whole way: a stored grant is used up, else a person is asked for at most `waitMs`, else the question is queued.
   * Rejects with `rate_limited`, `cancelled`, and with `no_space` or `io_error` when the disk refuses: never an allow.
   */
  async ask(question: Question, waitMs: number, cancel?: AbortSignal): Promise<Outcome> {
    const used = await this.consume(question);
    if (used !== null) return { kind: 'grant', id: used.id, by: used.answeredBy };
    const present = this.#options.someoneListens(question.session, question.capsule);
    const known = this.#findByBinding(bindingOf(question), present);
    if (known !== undefined && !present) return this.#repeat(known);
    // Somebody is there now: they are asked anew, with a preview of how things stand now.
    if (known !== undefined) await this.#withdraw(known.id);
    const record = await this.create(question);
    return this.wait(record.id, waitMs, cancel);
  }

  /**
   * Refuses what `ask` would refuse for being one question too many, before anything is written because of it; counts nothing.
   * Throws `rate_limited`.
   */
  requireRoom(question: Question): void {
    const binding = bindingOf(question);
    for (const record of this.#ledger.values()) {
      const isAnswer = record.state === 'once' || isOpen(record) || (record.state === 'denied' && record.unheard);
      if (isAnswer && record.binding === binding && !this.#isVoid(record)) return;
    }
    this.#expireOld();
    this.#room.check(question, this.#open());
  }

  /** Uses up one grant for exactly this. Of any number of tries at once, one per grant gets it; null for the others. */
  async consume(question: Question): Promise<ApprovalRecord | null> {
    const binding = bindingOf(question);
    for (const record of [...this.#ledger.values()]) {
      if (record.state !== 'once' || record.binding !== binding) continue;
      if (this.#isVoid(record)) continue;
      const used = await this.#ledger.change(record.id, ['once'], { state: 'used', changedAt: this.#now() });
      if (used === null) continue;
      this.#followers.emit(used);
      return used;
    }
    return null;
  }

  /** Writes the question down. It is shown once somebody follows; `wait` waits for the answer. */
  async create(question: Question): Promise<ApprovalRecord> {
    this.#expireOld();
    this.#room.enter(question, this.#open());
    try {
      const listened = this.#options.someoneListens(question.session, question.capsule);
      const id = (this.#options.makeId ?? makeRandomId)();
      const rememberable = !question.onceOnly && question.resource.length < LIMITS.gateResourceCharsMax;
      const allowance = rememberable ? allowanceOf(question) : null;
      const record = await makeRecord(question, {
        id,
        now: this.#now(),
        state: listened ? 'pending' : 'queued',
        allowance,
      });
      await this.#ledger.add(record);
      this.#followers.emit(record);
      return record;
    } finally {
      this.#room.leave(question);
    }
  }

  /** Waits for the answer to an open question: at most `ms`, and only while somebody could give one. */
  async wait(id: string, ms: number, cancel?: AbortSignal): Promise<Outcome> {
    const record = this.#ledger.get(id);
    if (record === undefined) throw notFound();
    if (!isOpen(record)) return this.#takeEarlyAnswer(record);
    if (cancel?.aborted) return this.#withdraw(id);
    const { session, capsule } = record;
    if (!this.#options.someoneListens(session, capsule)) return this.#queue(id);
    if (this.#waiters.has(id)) throw new Fault('internal', 'two calls wait for one approval');
    return new Promise<Outcome>((resolve) => {
      const stopTimer = (this.#options.startTimer ?? startTimer)(ms, () => this.#endWait(id));
      const onAbort = () => {
        this.#withdraw(id).then(resolve, () => resolve({ kind: 'cancelled', id, by: null }));
      };
      const settle: Waiter['settle'] = (kind, by) => {
        this.#waiters.delete(id);
        stopTimer();
        cancel?.removeEventListener('abort', onAbort);
        resolve({ kind, id, by });
      };
      this.#waiters.set(id, { session, capsule, settle, answering: false, overdue: false });
      cancel?.addEventListener('abort', onAbort, { once: true });
    });
  }

  /**
   * A person's answer. `by` says who, for the log. Throws `not_found` for an id that is unknown, settled, expired or
   * being answered, `invalid_argument` for an answer that was not offered, and what the disk says: then it may be
   * given again, and nothing was allowed.
   */
  async answer(id: string, decision: ApprovalDecision, by: string): Promise<ApprovalRow> {
    const record = this.#ledger.findOpen(id);
    const waiter = record === undefined ? undefined : this.#waiters.get(record.id);
    if (record === undefined || waiter?.answering) throw notFound();
    if (waiter === undefined && this.#isVoid(record)) throw notFound();
    if (decision === 'session' && record.allowance === null) {
      throw new Fault(
        'invalid_argument',
        'decision: expected once or deny, this question is not offered for the session',
        {
          field: 'decision',
        },
      );
    }
    const state = stateOf(decision, waiter !== undefined);
    const change = { state, changedAt: this.#now(), answeredBy: by, unheard: waiter === undefined };
    const settled = await this.#write(record.id, waiter, change).catch((thrown: unknown) => {
      if (waiter?.overdue) this.#endWait(record.id);
      throw thrown;
    });
    if (settled === null) {
      this.#endWait(record.id);
      throw notFound();
    }
    const { capsule, allowance } = record;
    const holds = this.#ledger.get(record.id)?.state === 'session';
    if (holds && allowance !== null) this.#allowances.set(allowance, { id: record.id, capsule });
    waiter?.settle(decision === 'deny' ? 'denied' : decision, by);
    this.#followers.emit(settled);
    return toApprovalRow(settled);
  }

  /**
   * A capsule is gone, and for whomever it acted: so are its questions and whatever it was allowed. Rejects when the disk refuses;
   * another capsule of the name gets nothing of it even then, since answers are bound to the install.
   */
  async dropCapsule(capsule: string): Promise<void> {
    for (const record of [...this.#ledger.values()]) {
      if (record.capsule !== capsule || !(isOpen(record) || record.state === 'once')) continue;
      this.#waiters.get(record.id)?.settle('cancelled', null);
      const change = { state: 'expired' as const, changedAt: this.#now() };
      const expired = await this.#ledger.change(record.id, [...OPEN_STATES, 'once', 'session'], change);
      if (expired !== null) this.#followers.emit(expired);
    }
    // Last: an answer that was on its way to the disk is among them by now, or finds its record expired.
    for (const [key, allowed] of this.#allowances) if (allowed.capsule === capsule) this.#allowances.delete(key);
  }

  /** Open questions and unused grants, oldest first. */
  list(session?: string): ApprovalRow[] {
    this.#expireOld();
    return [...this.#ledger.values()]
      .filter((record) => isOpen(record) || record.state === 'once')
      .filter((record) => session === undefined || record.session === session)
      .sort((a, b) => a.createdAt - b.createdAt)
      .map(toApprovalRow);
  }

  /** Calls back for each open question of the session (null: of all), now and at every change, until released. */
  follow(session: string | null, follower: Follower): () => void {
    return this.#followers.add(session, follower, this.list(session ?? undefined));
  }

  /** To be called when an uplink goes away: what nobody can answer any more is queued, and its call fails. */
  recheckListeners(): void {
    for (const [id, waiter] of [...this.#waiters]) {
      if (!this.#options.someoneListens(waiter.session, waiter.capsule)) this.#endWait(id);
    }
  }

  /** Ends every wait, at shutdown: the questions stay, queued. */
  close(): void {
    for (const id of [...this.#waiters.keys()]) this.#endWait(id);
    this.#followers.clear();
    this.#allowances.clear();
  }

  get pendingCount(): number {
    return this.#open().length;
  }

  async #write(
    id: string,
    waiter: Waiter | undefined,
    change: Parameters<ApprovalLedger['change']>[2],
  ): Promise<ApprovalRecord | null> {
    if (waiter !== undefined) waiter.answering = true;
    try {
      return await this.#ledger.change(id, OPEN_STATES, change);
    } finally {
      // When it could not be written the question is still open, and what wanted to end the wait does so now.
      if (waiter !== undefined) waiter.answering = false;
    }
  }

  #endWait(id: string): void {
    const waiter = this.#waiters.get(id);
    if (waiter === undefined) return;
    if (waiter.answering) {
      waiter.overdue = true;
      return;
    }
    waiter.settle('queued', null);
    this.#emitState(id, 'queued');
  }

  #queue(id: string): Outcome {
    this.#emitState(id, 'queued');
    return { kind: 'queued', id, by: null };
  }

  /** The call is gone: so is its question, unless the answer is already on its way to the disk. */
  async #withdraw(id: string): Promise<Outcome> {
    const outcome: Outcome = { kind: 'cancelled', id, by: null };
    const waiter = this.#waiters.get(id);
    waiter?.settle('cancelled', null);
    if (waiter?.answering) return outcome;
    try {
      const expired = await this.#ledger.change(id, OPEN_STATES, { state: 'expired', changedAt: this.#now() });
      if (expired !== null) this.#followers.emit(expired);
    } catch (thrown) {
      this.#options.onFault(asFault(thrown));
      this.#emitState(id, 'queued');
    }
    return outcome;
  }

  /** An answer that came between `create` and `wait`. */
  async #takeEarlyAnswer(record: ApprovalRecord): Promise<Outcome> {
    const { id, answeredBy: by } = record;
    if (record.state === 'session') return { kind: 'session', id, by };
    if (record.state === 'once') {
      const used = await this.#ledger.change(id, ['once'], { state: 'used', changedAt: this.#now() });
      if (used !== null) return { kind: 'once', id, by };
    }
    return { kind: 'denied', id, by };
  }

  /** Nobody is there: the same question is not asked twice, and a `no` that the last try did not hear is told now. */
  #repeat(record: ApprovalRecord): Outcome {
    if (record.state === 'denied') return { kind: 'denied', id: record.id, by: record.answeredBy };
    return { kind: 'queued', id: record.id, by: null };
  }

  #findByBinding(binding: string, present: boolean): ApprovalRecord | undefined {
    for (const record of this.#ledger.values()) {
      if (record.binding !== binding || this.#isVoid(record)) continue;
      if (isOpen(record) && !this.#waiters.has(record.id)) return record;
      if (!present && record.state === 'denied' && record.unheard) return record;
    }
    return undefined;
  }

  #open(): ApprovalRecord[] {
    return [...this.#ledger.values()].filter(isOpen);
  }

  /** Past its time, or from a future that the clock no longer shows: an answer of unknown age is no answer. */
  #isVoid(record: ApprovalRecord): boolean {
    const age = this.#now() - record.changedAt;
    const most = isOpen(record) ? LIMITS.approvalQueuedMsMax : LIMITS.approvalAnsweredMsMax;
    return age < -LIMITS.approvalClockSlackMs || age > most;
  }

  #expireOld(): void {
    for (const record of [...this.#ledger.values()]) {
      const mayExpire = (isOpen(record) && !this.#waiters.has(record.id)) || record.state === 'once';
      if (!mayExpire || !this.#isVoid(record)) continue;
      const change = { state: 'expired' as const, changedAt: this.#now() };
      this.#ledger.change(record.id, [...OPEN_STATES, 'once'], change).then(
        (expired) => {
          if (expired !== null) this.#followers.emit(expired);
        },
        (thrown: unknown) => this.#options.onFault(asFault(thrown)),
      );
    }
  }

  #emitState(id: string, state: 'pending' | 'queued'): void {
    const record = this.#ledger.noteState(id, state);
    if (record !== undefined) this.#followers.emit(record);
  }
}

function stateOf(decision: ApprovalDecision, someoneWaits: boolean): 'used' | 'once' | 'session' | 'denied' {
  if (decision === 'session') return 'session';
  if (decision === 'deny') return 'denied';
  // A waiting call takes the answer with it: nothing is left for another.
  return someoneWaits ? 'used' : 'once';
}

function notFound(): Fault {
  return new Fault('not_found', 'no open approval with this id', { field: 'id' });
}

function startTimer(ms: number, done: () => void): () => void {
  const timer = setTimeout(done, ms);
  return () => clearTimeout(timer);
}

function makeRandomId(): string {
  return randomBytes(16).toString('hex');
}
