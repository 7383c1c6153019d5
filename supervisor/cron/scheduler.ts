import type { CronSchedule } from '../../abi/cron-schedule.js';
import { asFault, type Fault } from '../../abi/errno.js';
import { LIMITS } from '../../abi/limits.js';
import { KeyedLock } from '../keyed-lock.js';
import { decodeTimer, type TimerRecord, timerKey } from './timer-record.js';

/** The wall clock and one alarm; a test turns it by hand. */
export interface SchedulerClock {
  now(): number;
  /** Calls once after about that long; the answer takes it back. */
  wake(afterMs: number, call: () => void): () => void;
}

/** How an occurrence went. `unavailable`: the capsule is not there to be called; `interrupted`: it was stopped meanwhile. */
export type FiringOutcome = 'done' | 'failed' | 'unavailable' | 'interrupted';

export interface SchedulerParts {
  readonly records: {
    put(key: string, record: TimerRecord): void;
    remove(key: string): void;
    all(): Iterable<readonly [string, unknown]>;
  };
  /** Runs `work` in a transaction and resolves when it is on disk. */
  readonly write: <T>(work: () => T) => Promise<T>;
  readonly clock: SchedulerClock;
  /** Calls the capsule. Never rejects. */
  readonly call: (timer: TimerRecord) => Promise<FiringOutcome>;
  /** Resolves when the log has it; a firing that cannot be logged does not happen. */
  readonly record: (what: 'accepted' | 'done' | 'failed' | 'skipped', timer: TimerRecord, why: string) => Promise<void>;
  readonly onFault: (fault: Fault) => void;
}

interface Timer {
  record: TimerRecord;
  readonly schedule: CronSchedule;
  running: boolean;
  /** Its occurrence waits for the capsule to start. */
  waiting: boolean;
}

/**
 * Durable timers. Before a capsule is called, the record says that this occurrence is under way (`pendingAt`) and when the next
 * one is; afterwards it says that it is over. So an occurrence that a crash cut off is a missed one, and what the policy says
 * of missed ones holds for it.
 *
 *   due ── on time, or late with `once` ──► pending ── called ──► over
 *    │                                        └── capsule not there: `once` waits for its next start, `skip` lets it go
 *    └── late with `skip` ──► over, logged
 */
export class Scheduler {
  readonly #parts: SchedulerParts;
  readonly #timers = new Map<string, Timer>();
  #cancelAlarm: (() => void) | null = null;
  #started = false;
  #seenAt: number;
  #ticking: Promise<void> = Promise.resolve();
  readonly #runs = new Set<Promise<void>>();
  /** One write of a timer's record after the other: memory follows the disk, so a second one in between would see the old timer. */
  readonly #writing = new KeyedLock();

  constructor(parts: SchedulerParts) {
    this.#parts = parts;
    this.#seenAt = parts.clock.now();
    for (const [key, value] of parts.records.all()) {
      const decoded = decodeTimer(value);
      if (decoded !== null) this.#timers.set(key, { ...decoded, running: false, waiting: false });
    }
  }

  /** Capsules are there now: what was missed while nobody looked is settled, and the clock is followed. */
  start(): void {
    this.#started = true;
    for (const timer of this.#timers.values()) this.#resume(timer);
    this.#look();
  }

  stop(): Promise<void> {
    this.#started = false;
    this.#cancelAlarm?.();
    this.#cancelAlarm = null;
    return this.#ticking;
  }

  /** Resolves when no occurrence is under way any more; capsules have been stopped by then. */
  async drain(): Promise<void> {
    await Promise.all([...this.#runs]);
  }

  /** A capsule is ready: occurrences that waited for it are run. */
  capsuleStarted(capsule: string): void {
    if (!this.#started) return;
    for (const timer of this.#timers.values()) if (timer.record.capsule === capsule) this.#resume(timer);
  }

  list(principal: string, capsule: string): TimerRecord[] {
    return this.#of(principal, capsule).map(({ record }) => record);
  }

  find(principal: string, capsule: string, name: string): TimerRecord | null {
    return this.#timers.get(timerKey({ principal, capsule, name }))?.record ?? null;
  }

  /** Resolves once it is on disk. Replaces a timer of the same name. */
  async put(record: TimerRecord, schedule: CronSchedule): Promise<void> {
    const key = timerKey(record);
    await this.#writing.run(key, async () => {
      await this.#parts.write(() => this.#parts.records.put(key, record));
      this.#timers.set(key, { record, schedule, running: false, waiting: false });
    });
    this.#arm();
  }

  /** Resolves once it is gone from disk; false when there was none. */
  remove(principal: string, capsule: string, name: string): Promise<boolean> {
    const key = timerKey({ principal, capsule, name });
    return this.#writing.run(key, () => this.#forget(key));
  }

  /** While nothing else writes this record. */
  async #forget(key: string): Promise<boolean> {
    const known = this.#timers.get(key);
    // Unknown from now on: what its run still wants to save must not bring the record back.
    this.#timers.delete(key);
    try {
      await this.#parts.write(() => this.#parts.records.remove(key));
    } catch (error) {
      if (known !== undefined && !this.#timers.has(key)) this.#timers.set(key, known);
      throw error;
    }
    this.#arm();
    return known !== undefined;
  }

  /** Whoever they act for: a capsule is called by its name, so what is left would be the next one's of that name. */
  async removeAll(capsule: string): Promise<void> {
    const records = [...this.#timers.values()].map(({ record }) => record);
    for (const { principal, name } of records.filter((record) => record.capsule === capsule))
      await this.remove(principal, capsule, name);
  }

  #of(principal: string, capsule: string): Timer[] {
    return [...this.#timers.values()].filter(
      ({ record }) => record.principal === principal && record.capsule === capsule,
    );
  }

  /** One alarm for all, never far away: the wall clock may be set, or the machine sleep, without a word. */
  #arm(): void {
    if (!this.#started) return;
    this.#cancelAlarm?.();
    const times = [...this.#timers.values()].map(({ record }) => record.nextAt).filter((at) => at !== null);
    const first = times.reduce((least, at) => Math.min(least, at), Number.POSITIVE_INFINITY);
    const afterMs = Math.min(Math.max(first - this.#parts.clock.now(), 0), LIMITS.cronWakeMsMax);
    this.#cancelAlarm = this.#parts.clock.wake(afterMs, () => this.#look());
  }

  #look(): void {
    this.#ticking = this.#ticking.then(() => this.#settleDue()).catch((error: unknown) => this.#fault(error));
    void this.#ticking.then(() => this.#arm());
  }

  async #settleDue(): Promise<void> {
    const now = this.#parts.clock.now();
    const wentBack = now < this.#seenAt - LIMITS.cronClockBackMs;
    this.#seenAt = now;
    for (const timer of [...this.#timers.values()]) {
      // A clock that was far ahead would leave timers waiting for years; a small step back must not repeat what was done.
      if (wentBack && timer.record.nextAt !== null)
        await this.#save(timer, { nextAt: timer.schedule.next(now) ?? timer.record.nextAt });
      if (timer.record.nextAt !== null && timer.record.nextAt <= now)
        await this.#settle(timer, timer.record.nextAt, now);
    }
  }

  async #settle(timer: Timer, due: number, now: number): Promise<void> {
    const nextAt = timer.schedule.next(now);
    const late = now - due > LIMITS.cronLateMs;
    if (timer.waiting) {
      // One run when the capsule is back, however many times were missed; said once.
      await this.#save(timer, { nextAt });
    } else if (timer.running) {
      await this.#save(timer, { nextAt });
      await this.#skip(timer, 'the run before has not ended');
    } else if (late && timer.record.missed === 'skip') {
      await this.#save(timer, { nextAt });
      await this.#skip(timer, `missed by ${Math.round((now - due) / 1000)} s`);
    } else {
      await this.#save(timer, { nextAt, pendingAt: due });
      this.#begin(timer);
    }
    if (!timer.running) await this.#dropIfOver(timer);
  }

  /** An occurrence that a crash or an absent capsule left open. */
  #resume(timer: Timer): void {
    if (timer.record.pendingAt === null || timer.running) return;
    if (timer.record.missed === 'once') {
      this.#begin(timer);
      return;
    }
    const giveUp = async () => {
      await this.#skip(timer, 'cut off, and missed occurrences are skipped');
      await this.#save(timer, { pendingAt: null });
      await this.#dropIfOver(timer);
    };
    giveUp().catch((error: unknown) => this.#fault(error));
  }

  #begin(timer: Timer): void {
    timer.running = true;
    timer.waiting = false;
    const run = this.#run(timer)
      .catch((error: unknown) => this.#fault(error))
      .finally(() => {
        timer.running = false;
        this.#runs.delete(run);
      });
    this.#runs.add(run);
  }

  async #run(timer: Timer): Promise<void> {
    const { record } = timer;
    await this.#parts.record('accepted', record, `due ${new Date(record.pendingAt ?? 0).toISOString()}`);
    if (!this.#isKnown(timer)) return;
    const outcome = await this.#parts.call(record);
    // Stopped under its feet: it stays pending, and the next start decides.
    if (outcome === 'interrupted') return;
    if (outcome === 'unavailable' && record.missed === 'once') {
      timer.waiting = true;
      await this.#skip(timer, 'the capsule is not running; it is called when it starts');
      return;
    }
    if (outcome === 'unavailable') await this.#skip(timer, 'the capsule is not running');
    else await this.#parts.record(outcome, record, outcome);
    await this.#save(timer, { pendingAt: null, lastAt: this.#parts.clock.now() });
    await this.#dropIfOver(timer);
  }

  /** What happens once is forgotten when it has happened, or when nobody will run it any more. */
  async #dropIfOver(timer: Timer): Promise<void> {
    const key = timerKey(timer.record);
    await this.#writing.run(key, async () => {
      const { nextAt, pendingAt } = timer.record;
      if (nextAt === null && pendingAt === null && this.#isKnown(timer)) await this.#forget(key);
    });
  }

  #skip(timer: Timer, why: string): Promise<void> {
    return this.#parts.record('skipped', timer.record, why);
  }

  /** Cancelled or replaced meanwhile: then this timer says nothing any more. */
  #isKnown(timer: Timer): boolean {
    return this.#timers.get(timerKey(timer.record)) === timer;
  }

  async #save(timer: Timer, change: Partial<Pick<TimerRecord, 'nextAt' | 'lastAt' | 'pendingAt'>>): Promise<void> {
    if (!this.#isKnown(timer)) return;
    const key = timerKey(timer.record);
    timer.record = { ...timer.record, ...change };
    await this.#writing.run(key, async () => {
      if (this.#isKnown(timer)) await this.#parts.write(() => this.#parts.records.put(key, timer.record));
    });
  }

  #fault(error: unknown): void {
    this.#parts.onFault(asFault(error));
  }
}
