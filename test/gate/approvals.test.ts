import { test } from 'tap';
import { Fault } from '../../abi/errno.js';
import { LIMITS } from '../../abi/limits.js';
import { codeOf, hashOf, MemoryStore, makeApprovals, makeQuestion, only, settleTurn } from './kit.js';

const WAIT_MS = 1000;

test('a question with somebody there, answered once, wakes its call and leaves nothing for another', async (t) => {
  const { approvals } = makeApprovals(new MemoryStore());
  const asked = approvals.ask(makeQuestion(), WAIT_MS);
  await settleTurn();
  const row = only(approvals.list('s1'));
  t.match(row, {
    state: 'pending',
    capsule: 'fs',
    action: 'write_file',
    resource: 'cwd://notes.txt',
    principal: 'ann',
  });
  t.same(row.detail, ['write 5 bytes']);
  t.match(row.id, /^[0-9a-f]{32}$/);
  t.match(await approvals.answer(row.id, 'once', 'cli'), { state: 'used' });
  t.match(await asked, { kind: 'once', id: row.id, by: 'cli' });
  t.same(approvals.list(), []);
  t.equal(await approvals.consume(makeQuestion()), null, 'the waiting call took it');
});

test('an answer of deny or session, ends the wait as it says, and session covers exactly that resource', async (t) => {
  const { approvals } = makeApprovals(new MemoryStore());
  const denied = approvals.ask(makeQuestion(), WAIT_MS);
  await settleTurn();
  await approvals.answer(only(approvals.list()).id, 'deny', 'cli');
  t.match(await denied, { kind: 'denied' });
  t.equal(approvals.findAllowance(makeQuestion()), null);

  const allowed = approvals.ask(makeQuestion(), WAIT_MS);
  await settleTurn();
  const { id } = only(approvals.list());
  await approvals.answer(id, 'session', 'cli');
  t.match(await allowed, { kind: 'session', id });
  t.equal(approvals.findAllowance(makeQuestion({ argsHash: hashOf('other') })), id, 'other contents, same file');
  for (const other of [
    { resource: 'cwd://notes.txt2' },
    { resource: 'cwd://notes.txt/x' },
    { resource: 'cwd://' },
    { action: 'fs_unlink' },
    { capsule: 'fs2' },
    { principal: 'bob' },
    { session: 's2' },
    { session: null },
    { origin: 'capsule' as const },
  ]) {
    t.equal(approvals.findAllowance(makeQuestion(other)), null, JSON.stringify(other));
  }
});

test('a wrong, malformed, settled or repeated id, is not_found and changes nothing', async (t) => {
  const { approvals } = makeApprovals(new MemoryStore());
  const asked = approvals.ask(makeQuestion(), WAIT_MS);
  await settleTurn();
  const { id } = only(approvals.list());
  const flipped = id.slice(0, -1) + (id.endsWith('0') ? '1' : '0');
  for (const guess of [
    flipped,
    id.toUpperCase() === id ? `${id} ` : id.toUpperCase(),
    `${id}0`,
    id.slice(1),
    '',
    '*',
    '__proto__',
  ]) {
    t.equal(await codeOf(approvals.answer(guess, 'once', 'capsule')), 'not_found', guess);
  }
  t.match(only(approvals.list()), { id, state: 'pending' });
  const two = await Promise.all([codeOf(approvals.answer(id, 'deny', 'a')), codeOf(approvals.answer(id, 'once', 'b'))]);
  t.same(two, ['ok', 'not_found'], 'the first answer counts');
  t.match(await asked, { kind: 'denied', by: 'a' });
  t.equal(await codeOf(approvals.answer(id, 'once', 'late')), 'not_found');
});

test('a flood of wrong ids while a question waits, finds nothing', async (t) => {
  const { approvals } = makeApprovals(new MemoryStore());
  const asked = approvals.ask(makeQuestion(), WAIT_MS);
  await settleTurn();
  const { id } = only(approvals.list());
  const guesses = Array.from({ length: 2000 }, (_, at) => at.toString(16).padStart(32, '0')).filter(
    (guess) => guess !== id,
  );
  const codes = await Promise.all(guesses.map((guess) => codeOf(approvals.answer(guess, 'once', 'capsule'))));
  t.ok(codes.every((code) => code === 'not_found'));
  await approvals.answer(id, 'deny', 'cli');
  t.match(await asked, { kind: 'denied' });
});

test('a question with nobody there, is queued; its answer is good once, for exactly the same action', async (t) => {
  const { approvals, listening } = makeApprovals(new MemoryStore());
  listening.clear();
  const first = await approvals.ask(makeQuestion(), WAIT_MS);
  t.equal(first.kind, 'queued');
  t.match(
    await approvals.ask(makeQuestion(), WAIT_MS),
    { kind: 'queued', id: first.id },
    'asked again, not queued again',
  );
  t.equal(approvals.list().length, 1);
  t.match(await approvals.answer(first.id, 'once', 'cli'), { state: 'once' });
  t.equal(await codeOf(approvals.answer(first.id, 'deny', 'cli')), 'not_found', 'settled');
  for (const other of [
    { argsHash: hashOf('rm -rf') },
    { resource: 'cwd://other' },
    { action: 'fs_unlink' },
    { capsule: 'fs2' },
    { principal: 'bob' },
    { session: 's2' },
    { scope: '/work' },
    { origin: 'capsule' as const },
  ]) {
    t.equal(await approvals.consume(makeQuestion(other)), null, `replayed with ${JSON.stringify(other)}`);
  }
  t.match(await approvals.ask(makeQuestion(), WAIT_MS), { kind: 'grant', id: first.id, by: 'cli' });
  t.equal((await approvals.ask(makeQuestion(), WAIT_MS)).kind, 'queued', 'used up');
});

test('a grant within a scope, holds in another session of the same scope and in no other scope', async (t) => {
  const { approvals, listening } = makeApprovals(new MemoryStore());
  listening.clear();
  const { id } = await approvals.ask(makeQuestion({ scope: '/work/a' }), WAIT_MS);
  await approvals.answer(id, 'once', 'cli');
  t.equal(await approvals.consume(makeQuestion({ scope: '/work/b' })), null);
  t.equal(await approvals.consume(makeQuestion()), null);
  t.match(await approvals.consume(makeQuestion({ scope: '/work/a', session: 's9' })), { id });
});

test('a queued question that is denied, tells the next try when nobody is there, and is asked anew when somebody is', async (t) => {
  const { approvals, listening } = makeApprovals(new MemoryStore());
  listening.clear();
  const { id } = await approvals.ask(makeQuestion(), WAIT_MS);
  await approvals.answer(id, 'deny', 'cli');
  t.match(await approvals.ask(makeQuestion(), WAIT_MS), { kind: 'denied', id });
  listening.add('s1');
  const anew = approvals.ask(makeQuestion(), WAIT_MS);
  await settleTurn();
  await approvals.answer(only(approvals.list()).id, 'once', 'cli');
  t.equal((await anew).kind, 'once');
});

test('a queued question that is asked again with somebody there, is replaced by one with a new preview', async (t) => {
  const { approvals, listening } = makeApprovals(new MemoryStore());
  listening.clear();
  const old = await approvals.ask(makeQuestion(), WAIT_MS);
  listening.add('s1');
  const asked = approvals.ask(makeQuestion({ detail: async () => ['as it is now'] }), WAIT_MS);
  await settleTurn();
  const row = only(approvals.list());
  t.not(row.id, old.id);
  t.same(row.detail, ['as it is now']);
  t.equal(await codeOf(approvals.answer(old.id, 'once', 'cli')), 'not_found');
  await approvals.answer(row.id, 'once', 'cli');
  t.equal((await asked).kind, 'once');
});

test('a person who does not answer in time, or goes away, leaves the question queued and the call without an allow', async (t) => {
  const { approvals, timers, listening } = makeApprovals(new MemoryStore());
  const slow = approvals.ask(makeQuestion(), WAIT_MS);
  await settleTurn();
  for (const runOut of timers) runOut();
  t.equal((await slow).kind, 'queued');
  t.match(only(approvals.list()), { state: 'queued' });

  const left = approvals.ask(makeQuestion({ resource: 'cwd://b' }), WAIT_MS);
  await settleTurn();
  listening.delete('s1');
  approvals.recheckListeners();
  t.equal((await left).kind, 'queued');
  t.equal(timers.size, 0, 'its timer is gone');
  const [, second] = approvals.list();
  await approvals.answer(second!.id, 'once', 'cli');
  t.match(
    await approvals.consume(makeQuestion({ resource: 'cwd://b' })),
    { id: second!.id },
    'the late answer is a grant',
  );
});

test('a capsule that is killed while it asks, takes its question with it', async (t) => {
  const store = new MemoryStore();
  const { approvals, timers, faults } = makeApprovals(store);
  const kill = new AbortController();
  const asked = approvals.ask(makeQuestion(), WAIT_MS, kill.signal);
  await settleTurn();
  const { id } = only(approvals.list());
  kill.abort();
  t.equal((await asked).kind, 'cancelled');
  await settleTurn();
  t.same(approvals.list(), []);
  t.equal(timers.size, 0);
  t.equal(await codeOf(approvals.answer(id, 'once', 'cli')), 'not_found');
  t.equal((await approvals.ask(makeQuestion(), WAIT_MS, kill.signal)).kind, 'cancelled', 'dead before it asked');
  const again = new AbortController();
  const third = approvals.ask(makeQuestion(), WAIT_MS, again.signal);
  await settleTurn();
  store.refusal = new Fault('no_space', 'full');
  again.abort();
  t.equal((await third).kind, 'cancelled');
  await settleTurn();
  t.match(faults, [{ code: 'no_space' }], 'told, and not lost');
  t.match(only(approvals.list()), { state: 'queued' });
});

test('a capsule that floods, is refused past its bound, and others are not', async (t) => {
  const { approvals, listening, clock } = makeApprovals(new MemoryStore());
  listening.clear();
  const ask = (capsule: string, at: number) =>
    codeOf(approvals.ask(makeQuestion({ capsule, argsHash: hashOf(`${at}`) }), WAIT_MS));
  const codes = await Promise.all(Array.from({ length: 50 }, (_, at) => ask('flood', at)));
  t.equal(
    codes.filter((code) => code === 'ok').length,
    LIMITS.approvalsOpenPerCapsuleMax,
    'also when all come at once',
  );
  t.equal(codes.filter((code) => code === 'rate_limited').length, 50 - LIMITS.approvalsOpenPerCapsuleMax);
  t.equal(await ask('fs', 0), 'ok');
  for (const row of approvals.list().filter(({ capsule }) => capsule === 'flood'))
    await approvals.answer(row.id, 'deny', 'cli');
  let asked = 0;
  for (; asked < 500; asked++) {
    if ((await ask('flood', 1000 + asked)) !== 'ok') break;
    await approvals.answer(approvals.list().at(-1)!.id, 'deny', 'cli');
  }
  t.ok(asked <= LIMITS.approvalAsksPerMinuteMax, `${asked} questions in one minute, each answered`);
  clock.now += 60_000;
  t.equal(await ask('flood', 9999), 'ok', 'the next minute');
});

test('a follower, sees its session now and as it changes, and one that throws disturbs nobody', async (t) => {
  const { approvals, faults, listening } = makeApprovals(new MemoryStore());
  listening.add('s2');
  const mine = approvals.ask(makeQuestion(), WAIT_MS);
  await settleTurn();
  const seen: string[] = [];
  const release = approvals.follow('s1', (row) => seen.push(`${row.resource} ${row.state}`));
  approvals.follow(null, () => {
    throw new Fault('connection_closed', 'gone');
  });
  const theirs = approvals.ask(makeQuestion({ session: 's2', resource: 'cwd://theirs' }), WAIT_MS);
  await settleTurn();
  await approvals.answer(only(approvals.list('s1')).id, 'once', 'cli');
  await mine;
  release();
  await approvals.answer(only(approvals.list('s2')).id, 'deny', 'cli');
  await theirs;
  t.same(seen, ['cwd://notes.txt pending', 'cwd://notes.txt used']);
  t.ok(faults.length > 0 && faults.every(({ code }) => code === 'connection_closed'));
});

test('what is shown of a question, is clean, bounded, and spelt out where it deceives', async (t) => {
  const { approvals, listening } = makeApprovals(new MemoryStore());
  listening.clear();
  await approvals.ask(
    makeQuestion({
      action: `wri\u001b[2Kte${'x'.repeat(500)}`,
      resource: 'cwd://p\u0430y\u202e.txt',
      risk: 'low\nreally',
      detail: async () => ['\u001b]0;owned\u0007line', ...Array.from({ length: 10_000 }, () => '')],
    }),
    WAIT_MS,
  );
  const row = only(approvals.list());
  t.equal(row.action.length, 256);
  t.notMatch(JSON.stringify(row), /\\u001b|\u202e|\\u0007/);
  t.equal(row.resource, 'cwd://p\u0430y.txt');
  t.match(row.detail[0], /Letter by letter: .*p\\u\{430\}y\\u\{202e\}\.txt/);
  t.equal(row.risk, 'low really');
  t.ok(row.detail.length < 70);
});

test('an answer of session, where it was not offered, is refused and the question stays', async (t) => {
  const { approvals, listening } = makeApprovals(new MemoryStore());
  listening.clear();
  const safe = await approvals.ask(makeQuestion({ onceOnly: true }), WAIT_MS);
  const cut = await approvals.ask(makeQuestion({ resource: `cwd://${'a'.repeat(1018)}` }), WAIT_MS);
  for (const { id } of [safe, cut]) t.equal(await codeOf(approvals.answer(id, 'session', 'cli')), 'invalid_argument');
  t.equal(approvals.list().length, 2);
});
