import { type CronSchedule, parseSchedule } from '../../abi/cron-schedule.js';
import { asFault, Fault } from '../../abi/errno.js';
import { LIMITS } from '../../abi/limits.js';
import type { CronRow } from '../../abi/manifest.js';
import { KeyedLock } from '../keyed-lock.js';
import type { Scheduler } from './scheduler.js';
import type { TimerRecord } from './timer-record.js';

export interface TimerRequest {
  readonly principal: string;
  readonly capsule: string;
  readonly name: string;
  readonly schedule: string;
  readonly payload: Uint8Array;
}

const MINUTE_MS = 60_000;

/** Timers as capsules and manifests ask for them, within their bounds. */
export class CronService {
  readonly #scheduler: Scheduler;
  readonly #now: () => number;
  /** When each capsule changed its timers within the last minute: reading a schedule may cost milliseconds. */
  readonly #changes = new Map<string, number[]>();
  readonly #changing = new KeyedLock();

  constructor(scheduler: Scheduler, now: () => number) {
    this.#scheduler = scheduler;
    this.#now = now;
  }

  /**
   * Counts a change of timers, and refuses one that could never be made: nobody is asked about it, and nothing written down. Throws Fault
   * `rate_limited` or `invalid_argument`.
   */
  admit({ principal, capsule, name, schedule }: Omit<TimerRequest, 'payload'>): void {
    this.#countChange(principal, capsule);
    checkName(name);
    this.#firstAt(parseSchedule(schedule));
  }

  /** Resolves once the timer is on disk. A timer of the same name is replaced. Each was admitted before. */
  schedule(request: TimerRequest): Promise<void> {
    return this.#alone(request.capsule, () => this.#schedule(request));
  }

  async #schedule(request: TimerRequest): Promise<void> {
    const { principal, capsule, name } = request;
    const known = this.#scheduler.find(principal, capsule, name);
    if (known?.source === 'manifest') throw declared('already_exists', name);
    if (known === null) this.#requireRoom(principal, capsule);
    const schedule = parseSchedule(request.schedule);
    const nextAt = this.#firstAt(schedule);
    const payload = Buffer.from(request.payload).toString('base64');
    const record = { principal, capsule, name, schedule: request.schedule, timezone: null, payload };
    await this.#scheduler.put({ ...record, ...this.#fresh('once', 'call', name, nextAt) }, schedule);
  }

  /** Resolves once it is gone. Cancelling what is not there is no error: it may have happened a moment before. */
  async cancel(principal: string, capsule: string, name: string): Promise<void> {
    this.#countChange(principal, capsule);
    checkName(name);
    await this.#alone(capsule, async () => {
      if (this.#scheduler.find(principal, capsule, name)?.source === 'manifest') throw declared('not_supported', name);
      await this.#scheduler.remove(principal, capsule, name);
    });
  }

  /** Brings the timers of a manifest in line with its `[[cron]]` sections; an unchanged one keeps its place in time. */
  follow(principal: string, capsule: string, rows: readonly CronRow[]): Promise<void> {
    return this.#alone(capsule, () => this.#follow(principal, capsule, rows));
  }

  async #follow(principal: string, capsule: string, rows: readonly CronRow[]): Promise<void> {
    for (const record of this.#scheduler.list(principal, capsule)) {
      if (record.source === 'manifest' && !rows.some((row) => isSame(record, row)))
        await this.#scheduler.remove(principal, capsule, record.name);
    }
    for (const row of rows) {
      const known = this.#scheduler.find(principal, capsule, row.name);
      if (known !== null && known.source === 'manifest') continue;
      const schedule = parseSchedule(row.schedule, row.timezone);
      const nextAt = schedule.next(this.#now());
      if (nextAt === null) continue;
      const { name, action, timezone, missed } = row;
      const record = { principal, capsule, name, schedule: row.schedule, timezone, payload: '' };
      await this.#scheduler.put({ ...record, ...this.#fresh(missed, 'manifest', action, nextAt) }, schedule);
    }
  }

  /** Lines for a person who is asked whether the capsule may. */
  preview(text: string): string[] {
    try {
      const schedule = parseSchedule(text);
      const times: string[] = [];
      let at: number | null = this.#now();
      while (times.length < 3 && at !== null) {
        at = schedule.next(at);
        if (at !== null) times.push(new Date(at).toISOString());
      }
      return times.map((time, index) => `${index === 0 ? 'first' : 'then'} ${time}`);
    } catch (error) {
      return [asFault(error).message];
    }
  }

  /** Everybody's, also what is under way when this is called. */
  removeAll(capsule: string): Promise<void> {
    return this.#alone(capsule, () => this.#scheduler.removeAll(capsule));
  }

  /** One change of a capsule's timers after the other: one that is half done would outlive a removal that looks too early. */
  #alone<T>(capsule: string, work: () => Promise<T>): Promise<T> {
    return this.#changing.run(capsule, work);
  }

  #fresh(missed: TimerRecord['missed'], source: TimerRecord['source'], action: string, nextAt: number) {
    return { missed, source, action, nextAt, createdAt: this.#now(), lastAt: null, pendingAt: null } as const;
  }

  #firstAt(schedule: CronSchedule): number {
    const now = this.#now();
    if (schedule.at !== null && schedule.at < now + LIMITS.cronPeriodMsMin) {
      const least = LIMITS.cronPeriodMsMin / 1000;
      const message = `schedule: the instant must be at least ${least} s from now`;
      throw new Fault('invalid_argument', message, { field: 'schedule' });
    }
    const nextAt = schedule.next(now);
    if (nextAt === null)
      throw new Fault('invalid_argument', 'schedule: there is no such day, now or later', { field: 'schedule' });
    return nextAt;
  }

  #requireRoom(principal: string, capsule: string): void {
    const most = LIMITS.cronTimersPerCapsuleMax;
    if (this.#scheduler.list(principal, capsule).length < most) return;
    throw new Fault('quota_exceeded', `a capsule has at most ${most} timers; cancel one first`, { field: 'name' });
  }

  #countChange(principal: string, capsule: string): void {
    const now = this.#now();
    const key = `${principal}\0${capsule}`;
    const recent = (this.#changes.get(key) ?? []).filter((at) => now - at < MINUTE_MS && at <= now);
    const most = LIMITS.cronChangesPerMinuteMax;
    if (recent.length >= most) throw new Fault('rate_limited', `at most ${most} changes of timers a minute`);
    recent.push(now);
    this.#changes.set(key, recent);
  }
}

function isSame(record: TimerRecord, row: CronRow): boolean {
  const { name, schedule, action, timezone, missed } = row;
  return (
    record.name === name &&
    record.schedule === schedule &&
    record.action === action &&
    record.timezone === timezone &&
    record.missed === missed
  );
}

function declared(code: 'already_exists' | 'not_supported', name: string): Fault {
  return new Fault(code, `timer ${JSON.stringify(name)} is declared by [[cron]] of Capsule.toml`, { field: 'name' });
}

/** A name is part of a key and of log lines. */
export function checkName(name: string): void {
  if (name !== '' && Buffer.byteLength(name) <= LIMITS.cronNameBytesMax && !/\p{Cc}|\p{Surrogate}/u.test(name)) return;
  const expected = `expected 1 to ${LIMITS.cronNameBytesMax} bytes without control characters`;
  throw new Fault('invalid_argument', `name: ${expected}`, { field: 'name' });
}
