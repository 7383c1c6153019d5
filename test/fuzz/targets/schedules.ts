import fc from 'fast-check';
import { parseSchedule } from '../../../abi/cron-schedule.js';
import { Fault } from '../../../abi/errno.js';
import { LIMITS } from '../../../abi/limits.js';
import { type FuzzTarget, property } from '../target.js';

interface Field {
  readonly text: string;
  readonly values: ReadonlySet<number>;
  readonly isAny: boolean;
}

/** One field of a pattern with the numbers it stands for, made together so that neither is read from the other. */
function fieldOf(min: number, max: number): fc.Arbitrary<Field> {
  const steps = (from: number, to: number, step: number) =>
    Array.from({ length: Math.floor((to - from) / step) + 1 }, (_, index) => from + index * step);
  const number = fc.integer({ min, max });
  const range = fc.tuple(number, number).map(([a, b]) => [Math.min(a, b), Math.max(a, b)] as const);
  const step = fc.integer({ min: 1, max: max - min });
  const part = fc.oneof(
    number.map((one) => ({ text: String(one), list: [one] })),
    range.map(([from, to]) => ({ text: `${from}-${to}`, list: steps(from, to, 1) })),
    // A step wider than its range is refused, which the texts of any kind try.
    fc.tuple(range, step).map(([[from, to], by]) => {
      const wide = Math.min(by, Math.max(1, to - from));
      return { text: `${from}-${to}/${wide}`, list: steps(from, to, wide) };
    }),
    step.map((by) => ({ text: `*/${by}`, list: steps(min, max, by) })),
  );
  const listed = fc.array(part, { minLength: 1, maxLength: 3 }).map((parts) => ({
    text: parts.map((one) => one.text).join(','),
    values: new Set(parts.flatMap((one) => one.list)),
    isAny: false,
  }));
  const any = fc.constant({ text: '*', values: new Set(steps(min, max, 1)), isAny: true });
  return fc.oneof({ weight: 1, arbitrary: any }, { weight: 2, arbitrary: listed });
}

const pattern = fc.tuple(fieldOf(0, 59), fieldOf(0, 23), fieldOf(1, 31), fieldOf(1, 12), fieldOf(0, 6));
const after = fc.integer({ min: 0, max: 4_000_000_000_000 });
const DAY_MS = 86_400_000;
const DAYS_WALKED = 366 * 9;
/** Zones without a change of the clock, and what to add to UTC there, in hours. */
const FIXED = [
  ['UTC', 0],
  ['Etc/GMT-5', 5],
  ['Etc/GMT+11', -11],
] as const;
const CHANGING = [
  'Europe/Berlin',
  'America/New_York',
  'Australia/Lord_Howe',
  'America/St_Johns',
  'Africa/Casablanca',
  'Pacific/Apia',
];

/** Day by day. With day and weekday both restricted, either is enough (crontab(5)). */
function walk(
  [minute, hour, day, month, weekday]: readonly Field[] & { length: 5 },
  afterMs: number,
  offsetMs: number,
): number | null {
  const first = Math.floor((afterMs + offsetMs) / DAY_MS) * DAY_MS;
  for (let index = 0; index < DAYS_WALKED; index++) {
    const date = new Date(first + index * DAY_MS);
    const [onDay, onWeekday] = [day!.values.has(date.getUTCDate()), weekday!.values.has(date.getUTCDay())];
    const isDay = day!.isAny || weekday!.isAny ? onDay && onWeekday : onDay || onWeekday;
    if (!isDay || !month!.values.has(date.getUTCMonth() + 1)) continue;
    for (let at = 0; at < 1440; at++) {
      const time = first + index * DAY_MS + at * 60_000 - offsetMs;
      if (time > afterMs && hour!.values.has(Math.floor(at / 60)) && minute!.values.has(at % 60)) return time;
    }
  }
  return null;
}

const wild = fc.oneof(
  fc.constantFrom(
    '*',
    '*/2',
    '1-5',
    '0',
    '59',
    'L',
    '#',
    'MON',
    'JAN',
    '?',
    '1,2',
    '5-1',
    '*/0',
    '1W',
    'LW',
    '5#2',
    '5L',
    'MON#1',
    '*/99',
    '1-',
    '-1',
    ',',
    '0/5',
    '7',
    '31',
    '+1',
    '~',
  ),
  fc.string({ maxLength: 6 }),
);
const anyText = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 80 }),
  fc
    .tuple(
      fc.constantFrom('', 'TZ=UTC ', 'TZ=Europe/Berlin ', 'CRON_TZ=Mars ', 'TZ='),
      fc.array(wild, { maxLength: 8 }),
    )
    .map(([zone, all]) => zone + all.join(' ')),
  fc
    .tuple(
      fc.integer({ min: -1, max: 10_000 }),
      fc.nat(14),
      fc.nat(33),
      fc.nat(26),
      fc.constantFrom('Z', '+02:00', '', '-99:99', '.5Z'),
    )
    .map(
      ([year, month, day, hour, zone]) =>
        `${String(year).padStart(4, '0')}-${String(month).padStart(2, '0')}-${String(day).padStart(2, '0')}T${String(hour).padStart(2, '0')}:00:00${zone}`,
    ),
);

export const SCHEDULES: FuzzTarget = [
  property(
    'any text, is understood or refused with its field, and its next time is later',
    500,
    fc.tuple(anyText, after),
    ([text, from]) => {
      try {
        const next = parseSchedule(text).next(from);
        return next === null || (Number.isSafeInteger(next) && next > from);
      } catch (thrown) {
        if (thrown instanceof Fault && thrown.code === 'invalid_argument')
          return /^(schedule|timezone)$/.test(thrown.field ?? '');
        throw thrown;
      }
    },
  ),
  property(
    'a pattern where the clock never changes, comes next where a walk day by day says',
    300,
    fc.tuple(pattern, after, fc.constantFrom(...FIXED)),
    ([fields, from, [zone, hours]]) => {
      const wanted = walk(fields, from, hours * 3_600_000);
      const found = parseSchedule(fields.map(({ text }) => text).join(' '), zone).next(from);
      if (found !== wanted) throw new Error(`${found} instead of ${wanted}`);
      return true;
    },
  ),
  property(
    'a pattern where the clock changes, has times that rise by a minute or more',
    150,
    fc.tuple(pattern, after, fc.constantFrom(...CHANGING)),
    ([fields, from, zone]) => {
      const schedule = parseSchedule(fields.map(({ text }) => text).join(' '), zone);
      let last = from;
      for (let turn = 0; turn < 5; turn++) {
        const next = schedule.next(last);
        if (next === null) return walk(fields, from, 0) === null;
        if (next <= last || (turn > 0 && next - last < LIMITS.cronPeriodMsMin))
          throw new Error(`${next} after ${last}`);
        last = next;
      }
      return true;
    },
  ),
];
