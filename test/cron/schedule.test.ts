import { test } from 'tap';
import { parseSchedule } from '../../abi/cron-schedule.js';
import { asFault } from '../../abi/errno.js';
import { LIMITS } from '../../abi/limits.js';
import { fc } from '../kit/property.js';

const NOON = Date.parse('2026-03-28T12:00:00Z');
const nextOf = (text: string, zone: string | null = null) => {
  const at = parseSchedule(text, zone).next(NOON);
  return at === null ? null : new Date(at).toISOString();
};

const GOOD = [
  ['TZ=UTC 0 2 * * *', '2026-03-29T02:00:00.000Z'],
  // The clock goes forward over 02:30 that night: it happens when that moment would have been.
  ['TZ=Europe/Berlin 30 2 * * *', '2026-03-29T01:00:00.000Z'],
  ['CRON_TZ=Asia/Tokyo 0 9 * * *', '2026-03-29T00:00:00.000Z'],
  ['TZ=UTC 30 0 2 * * *', '2026-03-29T02:00:30.000Z'],
  ['TZ=UTC @hourly', '2026-03-28T13:00:00.000Z'],
  ['TZ=UTC @Weekly', '2026-03-29T00:00:00.000Z'],
  ['TZ=UTC @yearly', '2027-01-01T00:00:00.000Z'],
  ['TZ=UTC 0 0 29 2 *', '2028-02-29T00:00:00.000Z'],
  ['2026-04-01T00:00:00Z', '2026-04-01T00:00:00.000Z'],
  ['2026-04-01T02:00:00+02:00', '2026-04-01T00:00:00.000Z'],
] as const;

for (const [text, expected] of GOOD) {
  test(`schedule ${text}, after noon of 28 March 2026, is ${expected}`, (t) => {
    t.equal(nextOf(text), expected);
    t.end();
  });
}

test('schedule, a zone beside the text, counts like a prefix', (t) => {
  t.equal(nextOf('30 2 * * *', 'Europe/Berlin'), '2026-03-29T01:00:00.000Z');
  t.end();
});

test('schedule, a day that never comes and an instant that is over, have no next time', (t) => {
  t.equal(nextOf('TZ=UTC 0 0 30 2 *'), null);
  t.equal(nextOf('2026-03-28T11:59:59Z'), null);
  t.end();
});

const BAD = [
  '',
  ' ',
  '* * * *',
  '* * * * * * *',
  '*/5 * * * * *',
  '0,30 * * * * *',
  '60 * * * *',
  '0 0 32 * *',
  '@reboot',
  '@every 5s',
  'TZ=Mars/Olympus 0 0 * * *',
  'TZ= 0 0 * * *',
  'TZ=+02:00 0 0 * * *',
  '2026-02-30T00:00:00Z',
  '2026-02-01T25:00:00Z',
  '2026-04-01T00:00:00',
  'TZ=UTC 2026-04-01T00:00:00Z',
  '0 0 * * *\n* * * * *',
  '0 0 * * ٣',
  '*'.repeat(LIMITS.cronScheduleBytesMax + 1),
];

for (const text of BAD) {
  test(`schedule ${JSON.stringify(text.slice(0, 40))}, is refused with its field`, (t) => {
    t.throws(() => parseSchedule(text), { code: 'invalid_argument', field: /schedule|timezone/ });
    t.end();
  });
}

test('schedule, a zone given twice, is refused', (t) => {
  t.throws(() => parseSchedule('TZ=UTC 0 0 * * *', 'UTC'), { code: 'invalid_argument', field: 'schedule' });
  t.end();
});

test('schedule, any text, is understood or refused and nothing else', (t) => {
  const field = fc.oneof(
    fc.constantFrom('*', '*/2', '1-5', '0', '59', 'L', '#', 'MON', '?', '1,2', '5-1', '*/0'),
    fc.string({ maxLength: 6 }),
  );
  const text = fc.oneof(
    fc.string({ maxLength: 60 }),
    fc.array(field, { maxLength: 8 }).map((all) => all.join(' ')),
  );
  fc.assert(
    fc.property(text, (one) => {
      try {
        parseSchedule(one);
      } catch (error) {
        if (asFault(error).code !== 'invalid_argument') throw error;
      }
    }),
    { numRuns: 500 },
  );
  t.end();
});

test('schedule, any pattern that is understood, has occurrences that rise and are at least a minute apart', (t) => {
  const number = (most: number) => fc.integer({ min: 0, max: most }).map(String);
  const part = (most: number) =>
    fc.oneof(
      fc.constant('*'),
      number(most),
      fc.integer({ min: 1, max: most }).map((step) => `*/${step}`),
    );
  const zone = fc.constantFrom('UTC', 'Europe/Berlin', 'America/New_York', 'Australia/Lord_Howe', 'Asia/Kolkata');
  const pattern = fc
    .tuple(fc.option(number(59)), part(59), part(23))
    .map(([second, minute, hour]) => `${second === null ? '' : `${second} `}${minute} ${hour} * * *`);
  fc.assert(
    fc.property(zone, pattern, fc.integer({ min: 0, max: 4_000_000_000_000 }), (name, text, from) => {
      const schedule = parseSchedule(text, name);
      let last = from;
      for (let round = 0; round < 5; round++) {
        const next = schedule.next(last);
        if (next === null) return false;
        if (next <= last || (round > 0 && next - last < LIMITS.cronPeriodMsMin)) return false;
        last = next;
      }
      return true;
    }),
    { numRuns: 200 },
  );
  t.end();
});
