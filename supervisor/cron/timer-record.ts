import { type CronSchedule, parseSchedule } from '../../abi/cron-schedule.js';
import { asFault } from '../../abi/errno.js';

/** What a late timer does: run once as soon as it can, or wait for its next time. */
export type MissedPolicy = 'once' | 'skip';

/** A timer as it is on disk. Times are milliseconds since the epoch. */
export interface TimerRecord {
  readonly principal: string;
  readonly capsule: string;
  readonly name: string;
  readonly schedule: string;
  readonly timezone: string | null;
  readonly missed: MissedPolicy;
  /** `manifest`: it follows `[[cron]]` of the installed capsule. */
  readonly source: 'call' | 'manifest';
  /** What is called; the name where the manifest says nothing else. */
  readonly action: string;
  /** Base64. */
  readonly payload: string;
  readonly createdAt: number;
  readonly nextAt: number | null;
  readonly lastAt: number | null;
  /** The occurrence that was begun, or could not be begun, and has not ended. */
  readonly pendingAt: number | null;
}

/** Names hold no NUL, so two timers never share a key. */
export function timerKey({ principal, capsule, name }: Pick<TimerRecord, 'principal' | 'capsule' | 'name'>): string {
  return `${principal}\0${capsule}\0${name}`;
}

const TEXTS = ['principal', 'capsule', 'name', 'schedule', 'action', 'payload'] as const;
const TIMES = ['nextAt', 'lastAt', 'pendingAt'] as const;

/** A record and its schedule, or null for what is none: the file may be from another version, or damaged. */
export function decodeTimer(value: unknown): { record: TimerRecord; schedule: CronSchedule } | null {
  if (typeof value !== 'object' || value === null) return null;
  const row = value as Record<string, unknown>;
  const isTime = (time: unknown) => time === null || (typeof time === 'number' && Number.isFinite(time));
  const fits =
    TEXTS.every((name) => typeof row[name] === 'string') &&
    TIMES.every((name) => isTime(row[name])) &&
    typeof row['createdAt'] === 'number' &&
    (row['timezone'] === null || typeof row['timezone'] === 'string') &&
    (row['missed'] === 'once' || row['missed'] === 'skip') &&
    (row['source'] === 'call' || row['source'] === 'manifest');
  if (!fits) return null;
  const record = value as TimerRecord;
  try {
    return { record, schedule: parseSchedule(record.schedule, record.timezone) };
  } catch (error) {
    if (asFault(error).code === 'invalid_argument') return null;
    throw error;
  }
}
