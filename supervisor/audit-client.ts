import { setTimeout as delay } from 'node:timers/promises';
import { encodeEvent, fitEvent } from '../abi/audit/event.js';
import type { InclusionProof } from '../abi/audit/proof.js';
import { EVENTS_PER_APPEND_MAX, type LoggedEvent, type ToSupervisorOf } from '../abi/audit/protocol.js';
import type { AuditEvent } from '../abi/audit-event.js';
import { asFault, Fault, type FaultCode } from '../abi/errno.js';
import { LIMITS } from '../abi/limits.js';
import type { AuditorLink } from './auditor/auditor-link.js';
import { CheckpointStore } from './auditor/checkpoint-store.js';
import { AuditorKeeper } from './auditor/keeper.js';
import { Outbox, type Outgoing } from './auditor/outbox.js';
import type { AuditorProcess } from './auditor/spawn.js';

export interface AuditClientOptions {
  readonly spawn: () => AuditorProcess;
  /** The supervisor's own copy of the latest checkpoint (`var/checkpoint`). */
  readonly checkpointPath: string;
  /** The pinned public key (`keys/audit.pub`), made by the auditor at its first start. */
  readonly publicKeyPath: string;
  /** Every entry once it is in the log, in order. Must not throw. */
  readonly onEntry?: (entry: LoggedEvent) => void;
  /** The auditor came up, or went down and why. With `final` it is not started again: a person has to look. */
  readonly onStateChange?: (state: 'up' | 'down', fault: Fault | null, final: boolean) => void;
  /** Records were dropped, so many so far, and why the last was. Told at 1, 2, 4, 8, …: whoever causes them may cause many. */
  readonly onDropped?: (dropped: number, fault: Fault) => void;
  readonly now: () => number;
  /** An auditor that answers nothing for so long is killed and started again. */
  readonly ackWaitMs?: number;
}

/** Trying again may help. Everything else that an append is refused with is the fault of an event in it. */
const PASSING: ReadonlySet<FaultCode> = new Set(['no_space', 'io_error', 'cancelled']);

/**
 * The supervisor's end of the audit. Life: new, started, closing, closed; while it is started, the auditor is up or down.
 *
 * All events go one way in one order. `append` resolves when its entry is durable and signed, so whatever was recorded before
 * it is, too. When the auditor is down or cannot write, appends are refused at once with `audit_unavailable` and records are
 * kept, up to a bound; beyond it `record` throws and `degraded` is set until the backlog is in the log. A record gets into the
 * log once: after a restart the log's size tells which of those that were on their way arrived.
 */
export class AuditClient {
  readonly #options: AuditClientOptions;
  readonly #store: CheckpointStore;
  readonly #keeper: AuditorKeeper;
  readonly #outbox = new Outbox();
  #life: 'new' | 'started' | 'closing' | 'closed' = 'new';
  #checkpoint: string | null = null;
  /** Entries known to be in the log; null before the first opening. */
  #size: number | null = null;
  #epoch = 0;
  /** After a refusal because of one event, so many are sent one by one, to find it. */
  #singly = 0;
  #flushing: NodeJS.Immediate | null = null;
  #retry: NodeJS.Timeout | null = null;
  #retryMs: number = LIMITS.auditRetryMs;
  #ackTimer: NodeJS.Timeout | null = null;
  #degraded = false;
  #dropped = 0;
  #emptyWaiters: (() => void)[] = [];

  constructor(options: AuditClientOptions) {
    this.#options = options;
    this.#store = new CheckpointStore(options.checkpointPath, options.now);
    this.#keeper = new AuditorKeeper({
      ...options,
      known: () => this.#checkpoint,
      onUp: (opened) => this.#onUp(opened),
      onDown: (fault, final) => this.#onDown(fault, final),
      onAck: (ack) => this.#onAck(ack),
      onNack: (nack) => this.#onNack(nack),
    });
  }

  get state(): 'up' | 'down' {
    return this.#keeper.link === null ? 'down' : 'up';
  }

  get pid(): number | null {
    return this.#keeper.link?.pid ?? null;
  }

  /** Acknowledged entries. */
  get treeSize(): number {
    return this.#size ?? 0;
  }

  /** True while `record` refuses: too much is waiting for the auditor. */
  get degraded(): boolean {
    return this.#degraded;
  }

  /** Records that the auditor refused for what they are (see PRINCIPALS_MAX); they are in no log. */
  get dropped(): number {
    return this.#dropped;
  }

  /**
   * Starts the auditor and checks its log against the stored checkpoint. Throws Fault `bad_log` for a log that was cut, replaced or
   * forked, `bad_home` for keys or directories that others can reach, `already_running`, `no_space` or `io_error`.
   */
  async start(): Promise<{ treeSize: number; recovered: { bytes: number; entries: number } }> {
    if (this.#life !== 'new') throw new Fault('internal', 'the audit client was started before');
    try {
      this.#checkpoint = await this.#store.load();
      const { treeSize, recovered } = await this.#keeper.start();
      this.#life = 'started';
      // Before the first entry: a log with entries and no stored checkpoint is never taken for a new one.
      await this.#store.flush();
      if (this.#store.failing !== null) throw this.#store.failing;
      return { treeSize, recovered };
    } catch (thrown) {
      await this.#end();
      throw thrown;
    }
  }

  /**
   * For actions of audit class `before`: resolves when the entry is durable. Rejects with Fault `audit_unavailable`, and then the
   * action must not happen; with `invalid_argument` for an event that no log takes.
   */
  append(event: AuditEvent): Promise<{ index: number }> {
    return new Promise((resolve, reject) => {
      this.#checkOpen();
      if (this.state === 'down') throw unavailable('the auditor is down');
      if (this.#store.failing !== null) throw unavailable('its checkpoint cannot be stored', this.#store.failing);
      this.#enqueue(event, { resolve: (index) => resolve({ index }), reject });
    });
  }

  /**
   * For audit class `with`: in order, not awaited. Throws Fault `audit_unavailable` when too much is waiting already, and then
   * the action must not happen; `invalid_argument` for an event that no log takes.
   */
  record(event: AuditEvent): void {
    this.#checkOpen();
    this.#enqueue(event, null);
  }

  #checkOpen(): void {
    if (this.#life !== 'started') throw unavailable('the audit client is not running');
  }

  #enqueue(event: AuditEvent, waiter: Outgoing['waiter']): void {
    const fitted = fitEvent(event);
    const bytes = encodeEvent(fitted);
    if (this.#outbox.bytes > LIMITS.auditOutboxBytesMax) {
      this.#degraded = true;
      throw unavailable('too many entries wait to be written');
    }
    this.#outbox.add({ event: fitted, bytes, waiter });
    this.#scheduleFlush();
  }

  /** The last entries, oldest first. Rejects with Fault `audit_unavailable` when the auditor is down. */
  async tail(lines: number): Promise<LoggedEvent[]> {
    const entries: LoggedEvent[] = [];
    await this.#linkOrThrow().ask({ t: 'tail', lines }, (reply) => {
      const { entries: more, last } = expectReply(reply, 'entries');
      entries.push(...(more as LoggedEvent[]));
      return !last;
    });
    return entries;
  }

  /** A self-contained proof of one entry; `formatProof` makes a file of it. Rejects with `invalid_argument` if there is none. */
  prove(index: number): Promise<InclusionProof> {
    return this.#askOnce({ t: 'prove', index }, 'proof');
  }

  /** That the log now begins with its first `from` entries. */
  proveConsistency(from: number): Promise<{ readonly hashes: readonly Buffer[]; readonly checkpoint: string }> {
    return this.#askOnce({ t: 'consistency', from }, 'consistent');
  }

  async #askOnce<T extends 'proof' | 'consistent'>(
    question: Parameters<AuditorLink['ask']>[0],
    expected: T,
  ): Promise<ToSupervisorOf<T>> {
    let answer: ToSupervisorOf<T> | null = null;
    await this.#linkOrThrow().ask(question, (reply) => {
      answer = expectReply(reply, expected);
      return false;
    });
    return answer ?? expectReply(null, expected);
  }

  #linkOrThrow(): AuditorLink {
    const { link } = this.#keeper;
    if (link === null) throw unavailable('the auditor is down');
    return link;
  }

  /** Writes what waits, stores the checkpoint and ends the auditor. Tells how many records it had to give up. */
  async close(): Promise<{ unwritten: number }> {
    if (this.#life !== 'started') return { unwritten: 0 };
    this.#life = 'closing';
    if (this.state === 'up' && !this.#outbox.isEmpty) {
      const empty = new Promise<void>((resolve) => this.#emptyWaiters.push(resolve));
      this.#scheduleFlush();
      const giveUp = new AbortController();
      await Promise.race([
        empty,
        delay(LIMITS.auditCloseWaitMs, undefined, { signal: giveUp.signal }).catch(() => undefined),
      ]);
      giveUp.abort();
    }
    await this.#store.flush();
    await this.#end();
    return { unwritten: this.#outbox.count };
  }

  async #end(): Promise<void> {
    this.#life = 'closed';
    this.#store.stop();
    if (this.#flushing !== null) clearImmediate(this.#flushing);
    for (const timer of [this.#retry, this.#ackTimer]) if (timer !== null) clearTimeout(timer);
    await this.#keeper.stop();
    this.#outbox.breakOff(unavailable('the audit client is closed'));
  }

  /** At the end of this turn of the event loop, so that everything of one turn is one frame. */
  #scheduleFlush(): void {
    this.#flushing ??= setImmediate(() => {
      this.#flushing = null;
      this.#flush();
    });
  }

  #flush(): void {
    const { link } = this.#keeper;
    if (link === null) return;
    const oneByOne = this.#singly > 0;
    while (this.#outbox.framesInFlight < (oneByOne ? 1 : LIMITS.auditFramesInFlightMax)) {
      const frame = this.#outbox.takeFrame(oneByOne ? 1 : EVENTS_PER_APPEND_MAX, LIMITS.auditAppendBytesMax);
      if (frame === null) break;
      const events = frame.items.map((item) => item.bytes);
      link.append(frame.id, this.#epoch, events);
    }
    if (this.#ackTimer === null) this.#armAckTimer();
  }

  /** An auditor that hangs is as good as a dead one: nobody may wait for it without an end. */
  #armAckTimer(): void {
    if (this.#ackTimer !== null) clearTimeout(this.#ackTimer);
    this.#ackTimer = null;
    if (this.#outbox.framesInFlight === 0) return;
    const waitMs = this.#options.ackWaitMs ?? LIMITS.auditAckWaitMs;
    const fault = new Fault('timed_out', `the auditor did not answer within ${waitMs} ms`);
    this.#ackTimer = setTimeout(() => void this.#keeper.link?.destroy(fault), waitMs);
  }

  #onAck(ack: ToSupervisorOf<'ack'>): void {
    const frame = this.#outbox.oldest(ack.id);
    if (frame === null || ack.firstIndex !== this.#size || ack.treeSize < ack.firstIndex + frame.items.length) {
      // Its log has entries that we did not send, or lacks some that we did. Thrown, it ends the connection, and
      // who waits for the frame is answered then: nothing has left the outbox yet.
      throw new Fault('bad_protocol', 'the auditor acknowledged what was not sent');
    }
    const { items } = this.#outbox.takeOldest();
    this.#singly = Math.max(0, this.#singly - items.length);
    this.#retryMs = LIMITS.auditRetryMs;
    this.#checkpoint = ack.checkpoint;
    this.#store.put(ack.checkpoint);
    this.#settleLogged(items);
    if (this.#outbox.bytes <= LIMITS.auditOutboxBytesMax / 2) this.#degraded = false;
    this.#armAckTimer();
    this.#flush();
    this.#tellIfEmpty();
  }

  #settleLogged(items: readonly Outgoing[]): void {
    for (const { event, waiter } of items) {
      const index = this.treeSize;
      this.#size = index + 1;
      waiter?.resolve(index);
      this.#options.onEntry?.({ index, ...event });
    }
  }

  #tellIfEmpty(): void {
    if (!this.#outbox.isEmpty) return;
    for (const resolve of this.#emptyWaiters.splice(0)) resolve();
  }

  #onNack(nack: ToSupervisorOf<'nack'>): void {
    const frame = this.#outbox.oldest(nack.id);
    // Refusals of frames behind a refused one: they were taken back together with it.
    if (frame === null) return;
    const fault = unavailable('the entry cannot be written', new Fault(nack.code, nack.message));
    this.#epoch += 1;
    if (!PASSING.has(nack.code)) {
      if (frame.items.length === 1) this.#dropOldest(fault);
      else this.#singly = frame.items.length;
    }
    this.#outbox.takeBack(fault);
    this.#armAckTimer();
    this.#tellIfEmpty();
    if (!this.#outbox.isEmpty) this.#retryLater();
  }

  /** The one event that the auditor does not take, whoever sends it. */
  #dropOldest(fault: Fault): void {
    for (const { waiter } of this.#outbox.takeOldest().items) {
      waiter?.reject(fault);
      if (waiter === null) this.#countDropped(fault);
    }
    this.#singly = Math.max(0, this.#singly - 1);
  }

  #countDropped(fault: Fault): void {
    this.#dropped += 1;
    if (Number.isInteger(Math.log2(this.#dropped))) this.#options.onDropped?.(this.#dropped, asFault(fault.cause));
  }

  #retryLater(): void {
    if (this.#retry !== null) return;
    this.#retry = setTimeout(() => {
      this.#retry = null;
      this.#flush();
    }, this.#retryMs);
    this.#retryMs = Math.min(this.#retryMs * 2, LIMITS.auditRetryMsMax);
  }

  #onUp(opened: ToSupervisorOf<'opened'>): void {
    const arrived = this.#outbox.settleDoubt(this.#size === null ? 0 : opened.treeSize - this.#size);
    if (arrived === null) throw new Fault('bad_log', 'the log has entries that were not sent from here');
    this.#size ??= opened.treeSize;
    this.#settleLogged(arrived);
    this.#checkpoint = opened.checkpoint;
    this.#store.put(opened.checkpoint);
    this.#epoch = 0;
    this.#options.onStateChange?.('up', null, false);
    this.#scheduleFlush();
  }

  #onDown(fault: Fault, final: boolean): void {
    this.#outbox.breakOff(unavailable('the auditor is down', fault));
    this.#armAckTimer();
    for (const resolve of this.#emptyWaiters.splice(0)) resolve();
    this.#options.onStateChange?.('down', fault, final);
  }
}

/** For whoever asked for the action. It may reach a guest, so what is wrong with the log is in the cause only. */
function unavailable(why: string, cause?: Fault): Fault {
  return new Fault('audit_unavailable', `the audit log is not available: ${why}`, { cause });
}

function expectReply<T extends ToSupervisorOf<'entries' | 'proof' | 'consistent'>['t']>(
  reply: { readonly t: string } | null,
  expected: T,
): ToSupervisorOf<T> {
  if (reply?.t === expected) return reply as ToSupervisorOf<T>;
  throw new Fault('bad_protocol', `auditor protocol: expected ${expected}`);
}
