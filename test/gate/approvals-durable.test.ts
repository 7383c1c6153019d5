import { test } from 'tap';
import type { ApprovalRow } from '../../abi/control.js';
import { Fault } from '../../abi/errno.js';
import { LIMITS } from '../../abi/limits.js';
import { codeOf, hashOf, MemoryStore, makeApprovals, makeQuestion, only, openDurable, settleTurn } from './kit.js';

const WAIT_MS = 1000;

test('an answer that is being written when the time runs out, still counts', async (t) => {
  const store = new MemoryStore();
  const { approvals, timers } = makeApprovals(store);
  const asked = approvals.ask(makeQuestion(), WAIT_MS);
  await settleTurn();
  store.held = [];
  const answered = approvals.answer(only(approvals.list()).id, 'once', 'cli');
  await settleTurn();
  for (const runOut of timers) runOut();
  approvals.close();
  store.release();
  t.match(await answered, { state: 'used' });
  t.equal((await asked).kind, 'once', 'written before the call was told anything else');
});

test('an answer that cannot be written, allows nothing and may be given again', async (t) => {
  const store = new MemoryStore();
  const { approvals, timers } = makeApprovals(store);
  const asked = approvals.ask(makeQuestion(), WAIT_MS);
  await settleTurn();
  const { id } = only(approvals.list());
  store.refusal = new Fault('no_space', 'full');
  t.equal(await codeOf(approvals.answer(id, 'session', 'cli')), 'no_space');
  t.equal(approvals.findAllowance(makeQuestion()), null);
  t.match(only(approvals.list()), { state: 'pending' });
  store.held = [];
  const late = codeOf(approvals.answer(id, 'once', 'cli'));
  await settleTurn();
  for (const runOut of timers) runOut();
  store.release();
  t.equal(await late, 'no_space');
  t.equal((await asked).kind, 'queued', 'the time that ran out meanwhile');
  store.refusal = null;
  t.match(await approvals.answer(id, 'once', 'cli'), { state: 'once' });
  store.refusal = new Fault('io_error', 'broken');
  t.equal(
    await codeOf(approvals.ask(makeQuestion(), WAIT_MS)),
    'io_error',
    'a grant that cannot be used up is no grant',
  );
  store.refusal = null;
  t.equal((await approvals.ask(makeQuestion(), WAIT_MS)).kind, 'grant');
});

test('a question that cannot be written down, is not asked', async (t) => {
  const store = new MemoryStore();
  const { approvals } = makeApprovals(store);
  const seen: ApprovalRow[] = [];
  approvals.follow(null, (row) => seen.push(row));
  store.refusal = new Fault('no_space', 'full');
  t.equal(await codeOf(approvals.ask(makeQuestion(), WAIT_MS)), 'no_space');
  t.equal(
    await codeOf(
      approvals.ask(makeQuestion({ detail: () => Promise.reject(new Fault('not_found', 'gone')) }), WAIT_MS),
    ),
    'not_found',
  );
  t.same(seen, []);
  t.same(approvals.list(), []);
});

test('records past their time, or from after the present, grant nothing', async (t) => {
  const { approvals, listening, clock } = makeApprovals(new MemoryStore());
  listening.clear();
  const { id } = await approvals.ask(makeQuestion(), WAIT_MS);
  await approvals.answer(id, 'once', 'cli');
  clock.now -= LIMITS.approvalClockSlackMs + 1;
  t.equal(await approvals.consume(makeQuestion()), null, 'the clock went back');
  clock.now += LIMITS.approvalClockSlackMs + 1 + LIMITS.approvalAnsweredMsMax + 1;
  t.equal(await approvals.consume(makeQuestion()), null, 'a day later');
  approvals.list();
  await settleTurn();
  t.same(approvals.list(), []);
  const old = await approvals.ask(makeQuestion({ resource: 'cwd://b' }), WAIT_MS);
  clock.now += LIMITS.approvalQueuedMsMax + 1;
  t.equal(await codeOf(approvals.answer(old.id, 'once', 'cli')), 'not_found', 'a week later');
});

test('settled records, past what is kept, go; open ones and grants stay', async (t) => {
  const store = new MemoryStore();
  const { approvals, listening, clock } = makeApprovals(store);
  listening.clear();
  const keep = await approvals.ask(makeQuestion({ resource: 'cwd://keep' }), WAIT_MS);
  const grant = await approvals.ask(makeQuestion({ resource: 'cwd://grant' }), WAIT_MS);
  await approvals.answer(grant.id, 'once', 'cli');
  for (let at = 0; at < LIMITS.approvalsSettledKept + 20; at++) {
    clock.now += 1000;
    const { id } = await approvals.ask(makeQuestion({ argsHash: hashOf(`${at}`) }), WAIT_MS);
    await approvals.answer(id, 'deny', 'cli');
  }
  t.equal(store.rows.size, LIMITS.approvalsSettledKept + 2);
  t.same(
    approvals
      .list()
      .map(({ id }) => id)
      .sort(),
    [keep.id, grant.id].sort(),
  );
});

test('records on disk that were edited by hand, grant nothing', async (t) => {
  const store = new MemoryStore();
  const first = makeApprovals(store);
  first.listening.clear();
  const { id } = await first.approvals.ask(makeQuestion(), WAIT_MS);
  await first.approvals.answer(id, 'once', 'cli');
  const good = JSON.parse(store.rows.get(id)!);
  const forged = 'f'.repeat(32);
  const edits: Record<string, unknown> = {
    [forged]: good, // a copy under another id
    ['e'.repeat(32)]: { ...good, id: 'e'.repeat(32), binding: undefined },
    ['d'.repeat(32)]: { ...good, id: 'd'.repeat(32), state: 'allowed' },
    ['c'.repeat(32)]: { ...good, id: 'c'.repeat(32), extra: true },
    ['b'.repeat(32)]: null,
    bad: 'text',
  };
  store.rows.clear();
  for (const [key, value] of Object.entries(edits)) store.rows.set(key, JSON.stringify(value));
  const second = makeApprovals(store);
  t.match(second.faults, [{ code: 'io_error', message: /^6 approval records/ }], 'the operator is told');
  t.same(second.approvals.list(), []);
  t.equal(await second.approvals.consume(makeQuestion()), null);
});

test('pending questions and unused answers, after a kill and a restart, are there; waits and allowances are not', async (t) => {
  const { open } = openDurable(t);
  const first = open();
  void first.approvals.ask(makeQuestion({ resource: 'cwd://pending' }), WAIT_MS);
  void first.approvals.ask(makeQuestion({ resource: 'cwd://always' }), WAIT_MS);
  while (first.approvals.list().length < 2) await settleTurn();
  const always = first.approvals.list().find(({ resource }) => resource === 'cwd://always')!;
  await first.approvals.answer(always.id, 'session', 'cli');
  t.ok(first.approvals.findAllowance(makeQuestion({ resource: 'cwd://always' })));
  first.listening.clear();
  const queued = await first.approvals.ask(makeQuestion(), WAIT_MS);
  await first.approvals.answer(queued.id, 'once', 'cli');
  await first.close(); // without a word to the waiting call, as in a kill

  const second = open();
  t.same(
    second.approvals
      .list()
      .map(({ resource, state }) => `${resource} ${state}`)
      .sort(),
    ['cwd://notes.txt once', 'cwd://pending queued'],
  );
  t.equal(
    second.approvals.findAllowance(makeQuestion({ resource: 'cwd://always' })),
    null,
    'a session allowance ends with the run',
  );
  t.match(await second.approvals.consume(makeQuestion()), { id: queued.id });
  await second.close();

  const third = open();
  t.equal(await third.approvals.consume(makeQuestion()), null, 'used before the restart is used after it');
  const pending = only(third.approvals.list());
  await third.approvals.answer(pending.id, 'once', 'cli');
  t.match(await third.approvals.consume(makeQuestion({ resource: 'cwd://pending' })), { id: pending.id });
  await third.close();
});

test('one grant, tried 1,000 times in parallel over the database, is given exactly once', async (t) => {
  const { open } = openDurable(t);
  const { approvals, listening, close } = open();
  listening.clear();
  const { id } = await approvals.ask(makeQuestion(), WAIT_MS);
  await approvals.answer(id, 'once', 'cli');
  const tries = await Promise.all(Array.from({ length: 1000 }, () => approvals.consume(makeQuestion())));
  t.equal(tries.filter((used) => used !== null).length, 1);
  await close();
  const after = open();
  t.equal(await after.approvals.consume(makeQuestion()), null);
  await after.close();
});
