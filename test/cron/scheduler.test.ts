import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Test, test } from 'tap';
import { LIMITS } from '../../abi/limits.js';
import { CronService } from '../../supervisor/cron/cron-service.js';
import { type FiringOutcome, Scheduler } from '../../supervisor/cron/scheduler.js';
import { openStore, type Store } from '../../supervisor/storage/store.js';
import { makeCronHandlers } from '../../supervisor/syscalls/cron.js';
import type { CallContext } from '../../supervisor/syscalls/handler.js';

const START = Date.parse('2026-03-01T00:00:00Z');
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

/** The clock is turned by hand; disk and transactions are real. */
class Bench {
  now = START;
  wakeAt = Number.POSITIVE_INFINITY;
  outcome: FiringOutcome = 'done';
  readonly calls: string[] = [];
  readonly log: string[] = [];
  readonly faults: string[] = [];
  hold: Promise<void> | null = null;
  scheduler!: Scheduler;
  cron!: CronService;
  #alarm: (() => void) | null = null;
  #store!: Store;
  readonly #dir: string;

  constructor(t: Test) {
    this.#dir = mkdtempSync(join(tmpdir(), 'astrid-'));
    t.teardown(async () => {
      await this.close();
      rmSync(this.#dir, { recursive: true });
    });
  }

  open(): void {
    this.#store = openStore(join(this.#dir, 'state')) as Store;
    const store = this.#store;
    this.scheduler = new Scheduler({
      records: store.records('timers'),
      write: (work) => store.write(work),
      clock: {
        now: () => this.now,
        wake: (afterMs, call) => {
          this.wakeAt = this.now + afterMs;
          this.#alarm = call;
          return () => {
            this.#alarm = null;
          };
        },
      },
      call: async (timer) => {
        this.calls.push(`${timer.name} ${Buffer.from(timer.payload, 'base64')}`);
        await this.hold;
        return this.outcome;
      },
      record: async (what, timer, why) => void this.log.push(`${what} ${timer.name}: ${why}`),
      onFault: (fault) => void this.faults.push(fault.message),
    });
    this.cron = new CronService(this.scheduler, () => this.now);
  }

  async close(): Promise<void> {
    this.hold = null;
    await this.scheduler.stop();
    await this.scheduler.drain();
    await this.#store.close();
  }

  /** Moves the clock and rings the alarm; resolves when everything due was settled. */
  async at(time: number): Promise<void> {
    this.now = time;
    const alarm = this.#alarm;
    this.#alarm = null;
    alarm?.();
    await this.settle();
  }

  async settle(): Promise<void> {
    // A tick arms the alarm when it is through, however long its commits take: the test's own time-out bounds it. Runs begun in it
    // are drained unless the test holds them.
    while (this.#alarm === null) await new Promise((resolve) => setTimeout(resolve, 1));
    if (this.hold === null) await this.scheduler.drain();
  }

  async set(name: string, schedule: string, payload = ''): Promise<void> {
    const request = { principal: 'default', capsule: 'c', name, schedule, payload: Buffer.from(payload) };
    this.cron.admit(request);
    await this.cron.schedule(request);
  }
}

function bench(t: Test): Bench {
  const made = new Bench(t);
  made.open();
  return made;
}

test('timer, due, is called once with its payload, logged before and after', async (t) => {
  const b = bench(t);
  b.scheduler.start();
  await b.settle();
  await b.set('nightly', 'TZ=UTC 0 2 * * *', '{"a":1}');
  await b.at(START + HOUR);
  t.same(b.calls, []);
  await b.at(START + 2 * HOUR);
  t.same(b.calls, ['nightly {"a":1}']);
  t.same(b.log, ['accepted nightly: due 2026-03-01T02:00:00.000Z', 'done nightly: done']);
  await b.at(START + 2 * HOUR + 5 * MINUTE);
  t.equal(b.calls.length, 1);
  await b.at(START + 26 * HOUR);
  t.equal(b.calls.length, 2);
  t.same(b.faults, []);
});

test('timer, the alarm, is never further away than the clock may be set behind our back', async (t) => {
  const b = bench(t);
  b.scheduler.start();
  await b.set('yearly', 'TZ=UTC @yearly');
  await b.settle();
  t.equal(b.wakeAt, START + LIMITS.cronWakeMsMax);
});

test('timer, an instant, happens once and is forgotten', async (t) => {
  const b = bench(t);
  b.scheduler.start();
  await b.set('once', '2026-03-01T00:05:00Z');
  await b.at(START + 5 * MINUTE);
  await b.at(START + 6 * MINUTE);
  t.equal(b.calls.length, 1);
  t.same(b.scheduler.list('default', 'c'), []);
});

test('timer, a supervisor that was down at its time, runs it once after the start however often it was missed', async (t) => {
  const b = bench(t);
  await b.set('hourly', 'TZ=UTC 0 * * * *');
  await b.set('once', '2026-03-01T03:00:00Z');
  await b.close();
  b.now = START + 10 * HOUR + 10 * MINUTE;
  b.open();
  t.same(b.calls, [], 'not before the capsules are there');
  b.scheduler.start();
  await b.settle();
  t.same(b.calls.sort(), ['hourly ', 'once ']);
  t.equal(b.scheduler.find('default', 'c', 'hourly')?.nextAt, START + 11 * HOUR);
});

test('timer, missed = skip, is not made up for and says so', async (t) => {
  const b = bench(t);
  await b.cron.follow('default', 'c', [
    { name: 'm', schedule: '0 * * * *', timezone: 'UTC', action: 'go', missed: 'skip' },
  ]);
  b.scheduler.start();
  await b.at(START + 5 * HOUR + 10 * MINUTE);
  t.same(b.calls, []);
  t.same(b.log, ['skipped m: missed by 15000 s']);
  await b.at(START + 6 * HOUR);
  t.equal(b.calls.length, 1);
});

test('timer, a capsule that is not running, waits for its start with once and is let go with skip', async (t) => {
  const b = bench(t);
  b.outcome = 'unavailable';
  await b.cron.follow('default', 'c', [
    { name: 'skips', schedule: '0 * * * *', timezone: 'UTC', action: 'go', missed: 'skip' },
  ]);
  await b.set('waits', 'TZ=UTC 0 * * * *');
  b.scheduler.start();
  await b.at(START + HOUR);
  await b.at(START + 2 * HOUR);
  t.equal(b.calls.filter((call) => call.startsWith('waits')).length, 1, 'tried once, then it waits');
  b.outcome = 'done';
  b.calls.length = 0;
  b.scheduler.capsuleStarted('c');
  await b.scheduler.drain();
  t.same(b.calls, ['waits ']);
});

test('timer, a crash in the middle of a run, counts as missed', async (t) => {
  const b = bench(t);
  await b.set('job', 'TZ=UTC 0 * * * *');
  b.outcome = 'interrupted';
  b.scheduler.start();
  await b.at(START + HOUR);
  t.equal(b.calls.length, 1);
  await b.close();
  b.outcome = 'done';
  b.open();
  b.scheduler.start();
  await b.settle();
  t.equal(b.calls.length, 2);
  t.equal(b.scheduler.find('default', 'c', 'job')?.pendingAt, null);
});

test('timer, due while its last run has not ended, is skipped and not run beside it', async (t) => {
  const b = bench(t);
  await b.set('slow', 'TZ=UTC 0 * * * *');
  let release: () => void = () => undefined;
  b.hold = new Promise((resolve) => {
    release = resolve;
  });
  b.scheduler.start();
  await b.at(START + HOUR);
  await b.at(START + 2 * HOUR);
  t.equal(b.calls.length, 1);
  t.ok(b.log.includes('skipped slow: the run before has not ended'));
  release();
  b.hold = null;
  await b.scheduler.drain();
});

test('timer, cancelled or replaced from inside its own run, stays so', async (t) => {
  const b = bench(t);
  await b.set('a', 'TZ=UTC 0 * * * *');
  await b.set('b', '2026-03-01T01:00:00Z');
  let release: () => void = () => undefined;
  b.hold = new Promise((resolve) => {
    release = resolve;
  });
  b.scheduler.start();
  await b.at(START + HOUR);
  await b.cron.cancel('default', 'c', 'a');
  await b.set('b', '2026-03-01T05:00:00Z', 'new');
  release();
  b.hold = null;
  await b.scheduler.drain();
  t.same(
    b.scheduler.list('default', 'c').map(({ name, nextAt }) => [name, nextAt]),
    [['b', START + 5 * HOUR]],
  );
});

test('timer, the clock set back by an hour, repeats nothing; corrected by a year, does not wait for a year', async (t) => {
  const b = bench(t);
  await b.set('daily', 'TZ=UTC 0 2 * * *');
  b.scheduler.start();
  await b.at(START + 2 * HOUR);
  await b.at(START + HOUR);
  await b.at(START + 2 * HOUR + 1);
  t.equal(b.calls.length, 1);
  await b.at(START - 365 * 24 * HOUR);
  t.equal(b.scheduler.find('default', 'c', 'daily')?.nextAt, START - 365 * 24 * HOUR + 2 * HOUR);
});

test('timers, more than 32, too soon, of a bad name or too often changed, are refused and the rest stays', async (t) => {
  const b = bench(t);
  for (let index = 0; index < LIMITS.cronTimersPerCapsuleMax; index++) await b.set(`t${index}`, '@daily');
  await t.rejects(b.set('one-more', '@daily'), { code: 'quota_exceeded' });
  await t.resolves(b.set('t0', '@hourly'), 'replacing needs no room');
  await b.cron.cancel('default', 'c', 'not there');
  for (const schedule of ['2026-03-01T00:00:59Z', '2025-01-01T00:00:00Z', '0 0 30 2 *', 'never'])
    await t.rejects(b.set('t1', schedule), { code: 'invalid_argument', field: 'schedule' });
  for (const name of ['', 'a\nb', 'x'.repeat(LIMITS.cronNameBytesMax + 1)])
    await t.rejects(b.set(name, '@daily'), { code: 'invalid_argument', field: 'name' });
  t.equal(b.scheduler.list('default', 'c').length, LIMITS.cronTimersPerCapsuleMax);
  const more = async () => {
    for (let index = 0; index < LIMITS.cronChangesPerMinuteMax; index++) await b.cron.cancel('default', 'c', 'x');
  };
  await t.rejects(more(), { code: 'rate_limited' });
  await t.rejects(b.set('t0', '@daily'), { code: 'rate_limited' });
  b.now += MINUTE;
  await t.resolves(b.cron.cancel('default', 'c', 'x'));
});

test('a schedule that can never be, is refused before anybody is asked', (t) => {
  const b = bench(t);
  const timers = {
    schedule: () => Promise.resolve(),
    cancel: () => Promise.resolve(),
    preview: () => [],
    admit: (request: { readonly name: string; readonly schedule: string }) =>
      b.cron.admit({ ...request, principal: 'default', capsule: 'c' }),
  };
  const { astrid_cron_schedule: handler } = makeCronHandlers(timers);
  const admit = (schedule: string) => () =>
    handler.admit?.({ name: 't', schedule, payload: Buffer.from('') }, {} as CallContext);
  t.throws(admit('nonsense'), { code: 'invalid_argument', field: 'schedule' });
  t.doesNotThrow(admit('@daily'));
  t.end();
});

test('timers of a manifest, changed or gone with an upgrade, follow it and cannot be changed by calls', async (t) => {
  const b = bench(t);
  const row = { name: 'm', schedule: '0 3 * * *', timezone: 'UTC', action: 'go', missed: 'once' } as const;
  await b.cron.follow('default', 'c', [row]);
  await t.rejects(b.set('m', '@daily'), { code: 'already_exists' });
  await t.rejects(b.cron.cancel('default', 'c', 'm'), { code: 'not_supported' });
  await b.cron.follow('default', 'c', [{ ...row, schedule: '0 4 * * *' }]);
  t.match(b.scheduler.list('default', 'c'), [{ nextAt: START + 4 * HOUR, action: 'go' }]);
  await b.set('own', '@daily');
  await b.cron.follow('default', 'c', []);
  t.match(b.scheduler.list('default', 'c'), [{ name: 'own' }]);
  await b.cron.removeAll('c');
  await b.close();
  b.open();
  t.same(b.scheduler.list('default', 'c'), []);
});

test('timers of another capsule or principal, under the same name, are others', async (t) => {
  const b = bench(t);
  await b.set('x', '@daily');
  await b.cron.cancel('default', 'd', 'x');
  await b.cron.cancel('other', 'c', 'x');
  t.equal(b.scheduler.list('default', 'c').length, 1);
});

test('timers of a capsule that is removed, also those it set for other people and those being made, are gone; others stay', async (t) => {
  const b = bench(t);
  const set = (principal: string, capsule: string) =>
    b.cron.schedule({ principal, capsule, name: 'x', schedule: '@daily', payload: Buffer.from('') });
  await Promise.all([set('default', 'c'), set('default', 'd'), set('alice', 'c'), set('alice', 'd')]);
  const late = set('bob', 'c');
  await b.cron.removeAll('c');
  await late;
  const left = () =>
    ['default', 'alice', 'bob'].map((who) => [b.scheduler.list(who, 'c').length, b.scheduler.list(who, 'd').length]);
  t.same(left(), [
    [0, 1],
    [0, 1],
    [0, 0],
  ]);
  await b.close();
  b.open();
  t.same(left(), [
    [0, 1],
    [0, 1],
    [0, 0],
  ]);
});

test('a timer that waits for its capsule, when that is removed, does not call the next capsule of its name', async (t) => {
  const b = bench(t);
  b.outcome = 'unavailable';
  const request = { principal: 'alice', capsule: 'c', name: 'x', schedule: 'TZ=UTC 0 * * * *' };
  await b.cron.schedule({ ...request, payload: Buffer.from('of the old one') });
  b.scheduler.start();
  await b.at(START + HOUR);
  t.same(b.calls, ['x of the old one'], 'it was due, and nobody was there');
  await b.cron.removeAll('c');
  b.outcome = 'done';
  b.scheduler.capsuleStarted('c');
  await b.scheduler.drain();
  t.equal(b.calls.length, 1);
});

test('timers that are being made when their capsule is removed, are gone: in memory and on disk', async (t) => {
  const b = bench(t);
  const rows = ['m', 'n', 'o'].map(
    (name) => ({ name, schedule: '0 3 * * *', timezone: 'UTC', action: 'go', missed: 'once' }) as const,
  );
  const following = b.cron.follow('default', 'c', rows);
  const scheduling = b.set('own', '@daily');
  await b.cron.removeAll('c');
  await Promise.all([following, scheduling]);
  t.same(b.scheduler.list('default', 'c'), []);
  await b.close();
  b.open();
  t.same(b.scheduler.list('default', 'c'), []);
});

/** A scheduler over a disk that writes when the test says so, with a timer `x` that happens once and whose run is under way. */
async function openHeld(t: Test) {
  const disk = new Map<string, unknown>();
  const jobs: (() => void)[] = [];
  let called: () => void = () => undefined;
  const isCalled = new Promise<void>((resolve) => {
    called = resolve;
  });
  let end: (outcome: FiringOutcome) => void = () => undefined;
  let ring: () => void = () => undefined;
  let now = START;
  const scheduler = new Scheduler({
    records: { put: (key, record) => disk.set(key, record), remove: (key) => disk.delete(key), all: () => disk },
    write: (work) => new Promise((resolve) => jobs.push(() => resolve(work()))),
    clock: {
      now: () => now,
      wake: (_afterMs, call) => {
        ring = call;
        return () => undefined;
      },
    },
    call: () => {
      called();
      return new Promise((resolve) => {
        end = resolve;
      });
    },
    record: async () => undefined,
    onFault: (fault) => t.fail(fault.message),
  });
  const turns = async () => {
    for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
  };
  /** Does the writes that are asked for in one commit, or only so many of them, and lets everything follow. */
  const commit = async (most = Number.POSITIVE_INFINITY) => {
    await turns();
    for (const job of jobs.splice(0, most)) job();
    await turns();
  };
  const settle = async (work: Promise<unknown>) => {
    let isOver = false;
    void work.then(() => {
      isOver = true;
    });
    for (let round = 0; round < 10 && !isOver; round++) await commit();
    t.ok(isOver);
  };
  const cron = new CronService(scheduler, () => now);
  const set = (schedule: string) =>
    cron.schedule({ principal: 'default', capsule: 'c', name: 'x', schedule, payload: Buffer.from('') });
  await settle(set('2026-03-01T01:00:00Z'));
  scheduler.start();
  now += HOUR;
  ring();
  await commit();
  await isCalled;
  /** What is in memory and what a start would find. */
  const both = () => ({
    memory: scheduler.list('default', 'c').map(({ schedule }) => schedule),
    disk: [...disk.values()].map((record) => (record as { schedule: string }).schedule),
  });
  return { cron, scheduler, jobs, turns, commit, settle, set, both, end: (outcome: FiringOutcome) => end(outcome) };
}

test('a timer that is removed while its run saves its end, in one commit with it, is gone on disk, too', async (t) => {
  const b = await openHeld(t);
  const removing = b.cron.removeAll('c');
  await b.turns();
  b.end('done');
  await b.settle(removing);
  await b.scheduler.stop();
  t.same(b.both(), { memory: [], disk: [] });
});

test('a timer that is replaced while its run saves its end, before or after it in one commit, is the new one on disk, too', async (t) => {
  for (const isEndFirst of [true, false]) {
    const b = await openHeld(t);
    if (isEndFirst) b.end('done');
    await b.turns();
    const replacing = b.set('@daily');
    await b.turns();
    b.end('done');
    await b.settle(replacing);
    await b.commit();
    await b.scheduler.stop();
    t.same(b.both(), { memory: ['@daily'], disk: ['@daily'] }, isEndFirst ? 'after its end' : 'before its end');
  }
});

test('a timer that is set again while the one before it is over and forgotten, is there in memory and on disk', async (t) => {
  const b = await openHeld(t);
  b.end('done');
  await b.turns();
  const setting = b.set('@daily');
  await b.turns();
  // The end is on disk, and what is over is dropped while the new one is being written.
  await b.commit(1);
  await b.settle(setting);
  await b.commit();
  await b.scheduler.stop();
  t.same(b.both(), { memory: ['@daily'], disk: ['@daily'] });
});
