import { test } from 'tap';
import { installOf } from '../../supervisor/capsule/meta.js';
import { codeOf, MemoryStore, makeApprovals, makeQuestion, settleTurn } from './kit.js';

const WAIT_MS = 1000;

test('what one install was allowed, is nothing to another one of the same name', async (t) => {
  const { approvals, listening } = makeApprovals(new MemoryStore());
  const asked = approvals.ask(makeQuestion({ resource: 'cwd://always' }), WAIT_MS);
  await settleTurn();
  await approvals.answer(approvals.list()[0]!.id, 'session', 'cli');
  await asked;
  listening.clear();
  const { id } = await approvals.ask(makeQuestion({ resource: 'cwd://once' }), WAIT_MS);
  await approvals.answer(id, 'once', 'cli');
  const open = await approvals.ask(makeQuestion({ resource: 'cwd://open' }), WAIT_MS);
  const other = (resource: string) => makeQuestion({ resource, install: 'second' });
  t.equal(approvals.findAllowance(other('cwd://always')), null);
  t.equal(await approvals.consume(other('cwd://once')), null);
  t.not((await approvals.ask(other('cwd://open'), WAIT_MS)).id, open.id, 'a question of its own');
  t.ok(approvals.findAllowance(makeQuestion({ resource: 'cwd://always' })));
  t.match(await approvals.consume(makeQuestion({ resource: 'cwd://once' })), { id }, 'the first still has it');
});

test('a capsule that is removed, takes its questions, answers and allowances with it, and those of no other', async (t) => {
  const store = new MemoryStore();
  const { approvals, listening } = makeApprovals(store);
  const allow = async (capsule: string) => {
    const asked = approvals.ask(makeQuestion({ capsule, resource: 'cwd://always' }), WAIT_MS);
    await settleTurn();
    await approvals.answer(approvals.list()[0]!.id, 'session', 'cli');
    await asked;
  };
  await allow('fs');
  await allow('ops');
  const waiting = approvals.ask(makeQuestion({ principal: 'bob' }), WAIT_MS);
  await settleTurn();
  listening.clear();
  const { id } = await approvals.ask(makeQuestion({ resource: 'cwd://once' }), WAIT_MS);
  await approvals.answer(id, 'once', 'cli');
  const kept = await approvals.ask(makeQuestion({ capsule: 'ops' }), WAIT_MS);
  await approvals.dropCapsule('fs');
  t.match(await waiting, { kind: 'cancelled' }, 'whomever it acted for');
  t.same(
    approvals.list().map((row) => row.id),
    [kept.id],
  );
  t.equal(await approvals.consume(makeQuestion({ resource: 'cwd://once' })), null);
  t.equal(approvals.findAllowance(makeQuestion({ resource: 'cwd://always' })), null);
  t.ok(approvals.findAllowance(makeQuestion({ capsule: 'ops', resource: 'cwd://always' })));
  const again = makeApprovals(store).approvals;
  t.same(
    again.list().map((row) => row.id),
    [kept.id],
    'on disk, too',
  );
});

test('an answer that is being written while its capsule is removed, allows nothing afterwards', async (t) => {
  const store = new MemoryStore();
  const { approvals } = makeApprovals(store);
  const asked = approvals.ask(makeQuestion(), WAIT_MS);
  await settleTurn();
  store.held = [];
  const answer = codeOf(approvals.answer(approvals.list()[0]!.id, 'session', 'cli'));
  await settleTurn();
  const dropped = approvals.dropCapsule('fs');
  await settleTurn();
  store.release();
  await Promise.all([asked, answer, dropped]);
  t.equal(approvals.findAllowance(makeQuestion()), null);
  t.same(approvals.list(), []);
});

test('records from before an install was kept with them, grant nothing and are not shown', async (t) => {
  const store = new MemoryStore();
  const first = makeApprovals(store);
  first.listening.clear();
  const { id } = await first.approvals.ask(makeQuestion({ resource: 'cwd://once' }), WAIT_MS);
  await first.approvals.answer(id, 'once', 'cli');
  const open = await first.approvals.ask(makeQuestion(), WAIT_MS);
  for (const [key, text] of store.rows) {
    const { install, origin, ...old } = JSON.parse(text) as Record<string, unknown>;
    t.same([install, origin], ['first', 'kernel']);
    store.rows.set(key, JSON.stringify(old));
  }
  const { approvals, faults } = makeApprovals(store);
  t.same(faults, [], 'an older version wrote them: nothing is damaged');
  t.same(approvals.list(), []);
  t.equal(await approvals.consume(makeQuestion({ resource: 'cwd://once' })), null);
  t.equal(await codeOf(approvals.answer(open.id, 'once', 'cli')), 'not_found');
});

test('an install, is the same after an upgrade from its source, and another one from elsewhere or after a removal', (t) => {
  const meta = {
    version: '1.0.0',
    installed_at: '2026-01-01T00:00:00Z',
    updated_at: '2026-01-01T00:00:00Z',
    source: 'a',
  };
  const upgraded = { ...meta, version: '1.1.0', updated_at: '2026-02-01T00:00:00Z' };
  t.equal(installOf(upgraded), installOf(meta));
  t.not(installOf({ ...upgraded, source: 'b' }), installOf(meta));
  t.not(installOf({ ...meta, installed_at: '2026-02-01T00:00:00Z' }), installOf(meta));
  t.end();
});
