import type { RootDatabase } from 'lmdb';
import { test } from 'tap';
import { Fault } from '../../abi/errno.js';
import { CommitQueue } from '../../supervisor/storage/commit-queue.js';

/** A database whose commits end when the test says so, or at once. */
class SlowDatabase {
  endsAtOnce = false;
  readonly ends: { resolve: () => void; reject: (reason: unknown) => void }[] = [];
  readonly sizes: number[] = [];

  childTransaction(work: () => void): Promise<void> {
    work();
    if (this.endsAtOnce) return Promise.resolve();
    return new Promise((resolve, reject) => {
      this.ends.push({ resolve, reject });
    });
  }
}

function makeQueue(commitWaitMs: number): { queue: CommitQueue; database: SlowDatabase } {
  const database = new SlowDatabase();
  const queue = new CommitQueue(database as unknown as RootDatabase<Buffer, Buffer>, '/', commitWaitMs);
  return { queue, database };
}

async function codeOf(work: Promise<unknown>): Promise<string> {
  return work.then(
    (value) => `ok ${value}`,
    (thrown) => (thrown instanceof Fault ? thrown.code : String(thrown)),
  );
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}

test('a commit that does not end, answers its writers, refuses others until it ends, and then goes on', async (t) => {
  const { queue, database } = makeQueue(500);
  t.equal(await codeOf(queue.add(() => 1)), 'io_error');
  t.equal(await codeOf(queue.add(() => 2)), 'io_error', 'nothing may follow a commit of unknown end');
  t.equal(database.ends.length, 1);
  database.ends[0]!.resolve();
  await new Promise((resolve) => setImmediate(resolve));
  // Before any timer: the short limit of this queue cannot meet a commit that is to succeed.
  database.endsAtOnce = true;
  t.equal(await codeOf(queue.add(() => 3)), 'ok 3');
});

test('writes that come during a commit, share the next one', async (t) => {
  const { queue, database } = makeQueue(60_000);
  const first = queue.add(() => 0);
  await until(() => database.ends.length === 1);
  const rest = Array.from({ length: 10 }, (_, at) => queue.add(() => at));
  database.ends[0]!.resolve();
  t.equal(await first, 0);
  await until(() => database.ends.length === 2);
  database.ends[1]!.resolve();
  t.same(await Promise.all(rest), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  t.equal(database.ends.length, 2);
});

test('a commit that fails as a whole, is tried again one by one, and only the faulty write fails', async (t) => {
  const { queue, database } = makeQueue(60_000);
  const writes = ['a', 'b', 'c'].map((name) => codeOf(queue.add(() => name)));
  const full = Object.assign(new Error('No space left on device'), { code: 28 });
  const outcomes: ((end: SlowDatabase['ends'][number]) => void)[] = [
    (end) => end.reject(full),
    (end) => end.resolve(),
    (end) => end.reject(full),
    (end) => end.resolve(),
  ];
  for (const [at, settle] of outcomes.entries()) {
    await until(() => database.ends.length === at + 1);
    settle(database.ends[at]!);
  }
  t.same(await Promise.all(writes), ['ok a', 'no_space', 'ok c']);
});

test('a failed commit, whatever lmdb says about it, is no_space or io_error', async (t) => {
  const errorOf = (code: number) => Object.assign(new Error('x'), { code });
  const wrapped = (commitError: Promise<unknown>) => Object.assign(new Error('commit failed'), { commitError });
  const reasons: [() => Error, string][] = [
    [() => errorOf(28), 'no_space'],
    [() => errorOf(-30792), 'no_space'],
    [() => errorOf(-30795), 'io_error'],
    [() => wrapped(Promise.reject(errorOf(28))), 'no_space'],
    [() => wrapped(new Promise(() => undefined)), 'io_error'],
  ];
  for (const [reason, expected] of reasons) {
    const { queue, database } = makeQueue(60_000);
    const write = codeOf(queue.add(() => 1));
    await until(() => database.ends.length === 1);
    database.ends[0]!.reject(reason());
    t.equal(await write, expected);
  }
});

test('more writes than may wait, are refused at once, and those that wait are done', async (t) => {
  const { queue, database } = makeQueue(60_000);
  const first = codeOf(queue.add(() => 'first'));
  await until(() => database.ends.length === 1);
  const waiting = Array.from({ length: 16_384 }, () => codeOf(queue.add(() => 'waited')));
  t.equal(await codeOf(queue.add(() => 'one more')), 'rate_limited');
  const done = Promise.all([first, ...waiting]);
  let open = true;
  void done.then(() => {
    open = false;
  });
  await until(() => {
    for (const { resolve } of database.ends.splice(0)) resolve();
    return !open;
  });
  t.same(new Set(await done), new Set(['ok first', 'ok waited']));
});
