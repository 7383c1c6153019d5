import { test } from 'tap';
import { APPROVAL_MODES } from '../../abi/control.js';
import { LIMITS } from '../../abi/limits.js';
import { admitRequest, type CapsuleQuestion, requestApproval } from '../../supervisor/gate/request-approval.js';
import { codeOf, MemoryStore, makeApprovals, makeQuestion, settleTurn } from './kit.js';

function makeRequest(more: Partial<CapsuleQuestion> = {}): CapsuleQuestion {
  return {
    action: 'deploy',
    resource: 'production',
    riskLevel: 'high',
    principal: 'ann',
    capsule: 'ops',
    install: 'first',
    session: 's1',
    mode: 'guided',
    ...more,
  };
}

test('a request for approval, for each answer, has the shape of the call', async (t) => {
  const { approvals } = makeApprovals(new MemoryStore());
  const cases = [
    ['once', { approved: true, decision: 'approve' }],
    ['deny', { approved: false, decision: 'deny' }],
    ['session', { approved: true, decision: 'approve_session' }],
  ] as const;
  for (const [decision, expected] of cases) {
    const asked = requestApproval(approvals, makeRequest());
    await settleTurn();
    const [row] = approvals.list();
    t.match(row, { action: 'deploy', resource: 'production', risk: 'high', capsule: 'ops' });
    t.match(row?.detail[0], 'in its own words', 'who speaks is said first');
    await approvals.answer(row!.id, decision, 'cli');
    t.same(await asked, expected);
  }
  t.same(
    await requestApproval(approvals, makeRequest()),
    { approved: true, decision: 'allowance' },
    'allowed for the session',
  );
  t.same(await requestApproval(approvals, makeRequest({ riskLevel: 'low' })), {
    approved: true,
    decision: 'allowance',
  });
});

test('a request for approval, in mode yolo is an allowance and in mode safe never one', async (t) => {
  const { approvals, listening } = makeApprovals(new MemoryStore());
  t.same(await requestApproval(approvals, makeRequest({ mode: 'yolo' })), { approved: true, decision: 'allowance' });
  const asked = requestApproval(approvals, makeRequest());
  await settleTurn();
  await approvals.answer(approvals.list()[0]!.id, 'session', 'cli');
  await asked;
  listening.clear();
  for (const mode of APPROVAL_MODES) {
    const { approved } = await requestApproval(approvals, makeRequest({ mode }));
    t.equal(approved, mode !== 'safe', mode);
  }
  t.equal(
    await codeOf(approvals.answer(approvals.list()[0]!.id, 'session', 'cli')),
    'invalid_argument',
    'not offered in safe',
  );
});

test('a request with nobody there, no time left or a dying capsule, is denied; the next try finds a late answer', async (t) => {
  const { approvals, listening, timers } = makeApprovals(new MemoryStore());
  const deny = { approved: false, decision: 'deny' };
  const slow = requestApproval(approvals, makeRequest());
  await settleTurn();
  for (const runOut of timers) runOut();
  t.same(await slow, deny);
  listening.clear();
  t.same(await requestApproval(approvals, makeRequest()), deny);
  await approvals.answer(approvals.list()[0]!.id, 'once', 'cli');
  t.same(await requestApproval(approvals, makeRequest()), { approved: true, decision: 'approve' });
  t.same(await requestApproval(approvals, makeRequest()), deny, 'once');
  t.same(
    await requestApproval(approvals, makeRequest({ cancel: AbortSignal.abort(), resource: 'x', session: 's1' })),
    deny,
  );
});

test('a capsule that names its action like a host call, gains nothing at the gate by the answer', async (t) => {
  const { approvals, listening } = makeApprovals(new MemoryStore());
  const spoof = { action: 'write_file', resource: 'cwd://notes.txt', capsule: 'fs' };
  const asked = requestApproval(approvals, makeRequest(spoof));
  await settleTurn();
  await approvals.answer(approvals.list()[0]!.id, 'session', 'cli');
  t.equal((await asked).decision, 'approve_session');
  t.equal(approvals.findAllowance(makeQuestion()), null);
  listening.clear();
  await requestApproval(approvals, makeRequest({ ...spoof, resource: 'cwd://b' }));
  await approvals.answer(approvals.list()[0]!.id, 'once', 'cli');
  t.equal(await approvals.consume(makeQuestion({ resource: 'cwd://b' })), null);
});

test('a request with an action that is empty, invisible or too long, is refused by field', async (t) => {
  const { approvals } = makeApprovals(new MemoryStore());
  t.equal(await codeOf(requestApproval(approvals, makeRequest({ action: '' }))), 'invalid_argument');
  t.equal(await codeOf(requestApproval(approvals, makeRequest({ action: '\u200b\u202e \n' }))), 'invalid_argument');
  t.equal(await codeOf(requestApproval(approvals, makeRequest({ action: 'x'.repeat(257) }))), 'too_large');
  t.same(approvals.list(), []);
});

test('a request past the bounds of a capsule, is refused before it is asked, but for one whose answer is there', async (t) => {
  const { approvals, listening, clock } = makeApprovals(new MemoryStore());
  listening.clear();
  const admit = (more: Partial<CapsuleQuestion> = {}) =>
    codeOf((async () => admitRequest(approvals, makeRequest(more)))());
  for (let at = 0; at < LIMITS.approvalsOpenPerCapsuleMax; at++) {
    t.equal(await admit({ resource: `${at}` }), 'ok');
    await requestApproval(approvals, makeRequest({ resource: `${at}` }));
  }
  t.equal(await admit({ resource: 'one more' }), 'rate_limited', 'too many are open');
  t.equal(await admit({ resource: '1' }), 'ok', 'it is open already');
  t.equal(await admit({ resource: 'one more', mode: 'yolo' }), 'ok', 'nobody is asked');
  t.equal(await admit({ resource: 'one more', capsule: 'other' }), 'ok');
  t.equal(await admit({ action: ' ' }), 'invalid_argument');
  for (let at = LIMITS.approvalsOpenPerCapsuleMax; at < LIMITS.approvalAsksPerMinuteMax; at++) {
    await approvals.answer(approvals.list()[0]!.id, 'deny', 'cli');
    await requestApproval(approvals, makeRequest({ resource: `${at}` }));
  }
  await approvals.answer(approvals.list()[0]!.id, 'deny', 'cli');
  t.equal(await admit({ resource: 'one more' }), 'rate_limited', 'too many in a minute');
  clock.now += 60_000;
  t.equal(await admit({ resource: 'one more' }), 'ok');
});
