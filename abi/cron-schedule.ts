import { Cron } from 'croner';
import { Fault } from './errno.js';
import { LIMITS } from './limits.js';

/** When something is to happen: again and again by a pattern, or once at an instant. */
export interface CronSchedule {
  /** The text without its `TZ=` prefix. */
  readonly text: string;
  /** IANA name, or null: the zone of the machine, looked up at each computation. */
  readonly zone: string | null;
  /** Milliseconds since the epoch of a schedule that happens once; null for a pattern. */
  readonly at: number | null;
  /** The first occurrence after that time (milliseconds since the epoch), or null when there is none. */
  next(afterMs: number): number | null;
}

const FORM =
  'five fields (minute hour day month weekday), six with one number of seconds first, @hourly, @daily, @weekly, @monthly, @yearly, or an instant such as 2030-01-31T02:00:00Z';
const NICKNAMES: Readonly<Record<string, string>> = {
  '@hourly': '0 * * * *',
  '@daily': '0 0 * * *',
  '@midnight': '0 0 * * *',
  '@weekly': '0 0 * * 0',
  '@monthly': '0 0 1 * *',
  '@yearly': '0 0 1 1 *',
  '@annually': '0 0 1 1 *',
};
const INSTANT = /^(\d{4})-(\d{2})-(\d{2})T\d{2}:\d{2}(:\d{2}(\.\d{1,3})?)?(Z|[+-]\d{2}:\d{2})$/;
const ZONED = /^(?:CRON_)?TZ=(\S*)\s+/;
const ZONE_CHARS_MAX = 64;

/**
 * Reads a schedule. `zone` is that of the manifest; a `TZ=Area/City ` prefix says the same in the text, and both at once
 * are refused. Throws Fault `invalid_argument`, field `schedule` or `timezone`.
 */
export function parseSchedule(text: string, zone: string | null = null): CronSchedule {
  if (Buffer.byteLength(text) > LIMITS.cronScheduleBytesMax || !/^[\x20-\x7e]*$/.test(text)) {
    refuse(`expected at most ${LIMITS.cronScheduleBytesMax} printable ASCII characters`);
  }
  const prefix = ZONED.exec(text);
  if (prefix !== null && zone !== null) refuse('names a time zone that is given beside it already');
  const named = prefix?.[1] ?? zone;
  if (named !== null) checkZone(named);
  const rest = text.slice(prefix?.[0].length ?? 0).trim();
  if (INSTANT.test(rest)) return parseInstant(rest, named);
  return parsePattern(rest, named);
}

function parsePattern(text: string, zone: string | null): CronSchedule {
  const pattern = text.startsWith('@') ? NICKNAMES[text.toLowerCase()] : text;
  const fields = pattern?.split(/\s+/) ?? [];
  if (pattern === undefined || (fields.length !== 5 && fields.length !== 6)) refuse(`expected ${FORM}`);
  // One number of seconds is what keeps two occurrences a minute apart, by construction and not by sampling.
  if (fields.length === 6 && !/^[0-5]?\d$/.test(fields[0] ?? '')) {
    refuse(`the field of seconds is one number, so that nothing happens more often than once a minute`);
  }
  const cron = makeCron(pattern, zone);
  return {
    text,
    zone,
    at: null,
    next: (afterMs) => cron.nextRun(new Date(afterMs))?.getTime() ?? null,
  };
}

function makeCron(pattern: string, zone: string | null): Cron {
  try {
    return new Cron(pattern, { paused: true, ...(zone === null ? {} : { timezone: zone }) });
  } catch (error) {
    return refuse(`${error instanceof Error ? error.message : 'not understood'}; expected ${FORM}`);
  }
}

function parseInstant(text: string, zone: string | null): CronSchedule {
  const [, year, month, day] = INSTANT.exec(text) ?? [];
  const at = Date.parse(text);
  const daysInMonth = new Date(Date.UTC(Number(year), Number(month), 0)).getUTCDate();
  if (Number.isNaN(at) || Number(day) > daysInMonth) refuse('there is no such instant');
  if (zone !== null) refuse('an instant states its own offset; leave the time zone out');
  return { text, zone, at, next: (afterMs) => (at > afterMs ? at : null) };
}

function checkZone(zone: string): void {
  try {
    if (zone.length > ZONE_CHARS_MAX || !/^[A-Za-z]/.test(zone)) throw new RangeError('no name');
    new Intl.DateTimeFormat('en', { timeZone: zone });
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    const message = 'timezone: expected the name of a time zone such as Europe/Berlin or UTC';
    throw new Fault('invalid_argument', message, { field: 'timezone', cause });
  }
}

function refuse(why: string): never {
  throw new Fault('invalid_argument', `schedule: ${why}`, { field: 'schedule' });
}
