import { test } from 'tap';
import { Fault } from '../../abi/errno.js';
import { LIMITS } from '../../abi/limits.js';
import { busWith, settled } from '../kit/fake-capsules.js';

const many = (event: string, count: number) =>
  Array.from({ length: count }, (_, index) => ({ event, action: `a${index}` }));

/** Turns of the event loop until `work` is done. */
async function turnsDuring(work: () => unknown, isDone: () => boolean): Promise<number> {
  let turns = 0;
  void work();
  while (!isDone() && turns < 10_000) {
    await new Promise((resolve) => setImmediate(resolve));
    turns += 1;
  }
  return turns;
}

const say = { publish: ['e.v1.x'] };

test('a message to a chain of full queues, is refused by each before anything is encoded, with a turn of the loop in between', async (t) => {
  const refusal = new Fault('rate_limited', '256 invocations are waiting already');
  const b = busWith({ pub: say, full: { interceptors: many('e.v1.x', 40), refusal } });
  const refused = () => b.log.filter((line) => /e\.v1\.x failed: rate_limited/.test(line)).length;
  const turns = await turnsDuring(
    () => b.publish('pub', 'e.v1.x', 'x'),
    () => refused() === 40,
  );
  t.ok(turns >= 39, `40 steps took ${turns} turns`);
  t.equal(b.submitted(), 0, 'nothing was made for a capsule that takes nothing');
});

test('a message to a chain, the failures of one capsule are announced once', async (t) => {
  const refusal = new Fault('rate_limited', 'full');
  const b = busWith({ pub: say, full: { interceptors: many('e.v1.x', 40), refusal } });
  b.router.addEndpoint({ id: 'ear', sourceId: 'e', publish: [], subscribe: [] });
  const ear = b.router.subscribe('ear', 'astrid.v1.delivery.failed', { checkAcl: false });
  b.publish('pub', 'e.v1.x', 'x');
  await settled();
  t.equal(b.waiting('ear', ear).length, 1);
});

test('a capsule that an operator ends while it has a message, is announced as crashed if it comes back, and as cancelled if not', async (t) => {
  for (const [state, code] of [
    ['backoff', 'crashed'],
    ['stopped', 'cancelled'],
  ] as const) {
    const ended = { interceptors: many('e.v1.x', 1), state, answer: () => new Fault('cancelled', 'killed') };
    const b = busWith({ pub: say, ended });
    b.router.addEndpoint({ id: 'ear', sourceId: 'e', publish: [], subscribe: [] });
    const ear = b.router.subscribe('ear', 'astrid.v1.delivery.failed', { checkAcl: false });
    b.publish('pub', 'e.v1.x', 'x');
    await settled();
    t.match(b.waiting('ear', ear), [{ payload: { data: { code } } }], state);
  }
});

test('a publisher, waits while its message goes past full queues, and not while a capsule has it', async (t) => {
  const refusal = new Fault('rate_limited', 'full');
  const full = { interceptors: many('e.v1.x', 40), refusal };
  const takes = { interceptors: [{ event: 'e.v1.x', action: 'a', priority: 1 }] };
  const b = busWith({ pub: say, full });
  await b.publish('pub', 'e.v1.x', 'x');
  t.equal(b.log.length, 40, 'every step was told');
  t.equal(busWith({ pub: say, full, takes }).publish('pub', 'e.v1.x', 'x'), undefined);
});

test('a message to a chain, every step gets it, and what a step replaced goes to those behind it', async (t) => {
  const b = busWith({
    pub: say,
    one: {
      interceptors: many('e.v1.x', 3),
      answer: (action) => (action === 'a1' ? '{"new":"payload"}' : ''),
    },
  });
  b.publish('pub', 'e.v1.x', { old: 1 });
  await settled();
  t.same(b.calls, ['one.a0 {"old":1}', 'one.a1 {"old":1}', 'one.a2 {"new":"payload"}']);
});

test('a hook that many intercept, is called with a turn of the loop in between', async (t) => {
  const b = busWith({ pub: {}, one: { interceptors: many('e.v1.describe', 40) } });
  const turns = await turnsDuring(
    () => b.trigger('pub', 'e.v1.describe', {}),
    () => b.calls.length === 40,
  );
  t.ok(turns >= 39, `40 calls took ${turns} turns`);
});

test('answers to a hook, one is too large and many are together, those are left out with a line in the log', async (t) => {
  const bytes = LIMITS.hookAnswerBytesMax;
  const fits = Math.floor(LIMITS.hookAnswersBytesMax / bytes);
  const text = JSON.stringify('y'.repeat(bytes - 2));
  const asks = (action: string) => ({ interceptors: [{ event: 'e.v1.describe', action }] });
  const b = busWith({
    pub: {},
    bomb: { ...asks('bomb'), answer: () => `[${'{},'.repeat(bytes / 3)}1]` },
    deep: { ...asks('deep'), answer: () => '['.repeat(50) + ']'.repeat(50) },
    fat: { interceptors: many('e.v1.describe', fits + 2), answer: () => text },
    last: { ...asks('last'), answer: () => '{"tools":[]}' },
  });
  const answers = JSON.parse(String(await b.trigger('pub', 'e.v1.describe', {}))) as unknown[];
  t.equal(answers.filter((answer) => typeof answer === 'string').length, fits);
  t.match(
    b.log.map((line) => line.slice(0, 60)),
    [/^bomb: .*too_large/, /^deep: .*invalid_argument/, /^fat: .*too_large/, /^fat: .*too_large/, /^last: .*too_large/],
  );
  t.equal(answers.length, fits);
});

test('an answer to a hook that is small, comes as it is, and what is no answer is left out', async (t) => {
  const asks = { interceptors: [{ event: 'e.v1.describe', action: 'a' }] };
  const b = busWith({
    pub: {},
    tool: { ...asks, answer: () => '{"tools":[1,{"a":null}]}' },
    silent: asks,
    nothing: { ...asks, answer: () => 'null' },
    marked: { ...asks, answer: () => '\u0001"final"' },
    refuser: { ...asks, answer: () => '\u0002no' },
    broken: { ...asks, answer: () => new Fault('crashed', 'gone') },
  });
  t.equal(String(await b.trigger('pub', 'e.v1.describe', {})), '[{"tools":[1,{"a":null}]},"final"]');
});

const guard = (more: object = {}) => ({
  interceptors: [{ event: 'e.v1.do', action: 'guard', priority: 1, fail: 'closed' as const }],
  answer: () => '\u0002not here',
  ...more,
});
const acts = { publish: ['e.v1.do', 'e.v1.describe'] };

test('a guard that denies, the tool behind it does not run when the caller triggers the topic as a hook', async (t) => {
  const tool = { interceptors: [{ event: 'e.v1.do', action: 'run' }], answer: () => '"TOOL RAN"' };
  const b = busWith({ pub: acts, tool, guard: guard() });
  const answers = await b.trigger('pub', 'e.v1.do', 1);
  await settled();
  t.same(b.calls, ['guard.guard 1']);
  t.equal(String(answers), '[]');
  t.match(b.log.join('\n'), /guard: denied .*e\.v1\.do: not here/);
});

test('a guard that must not be skipped and fails or is full, denies a hook as it denies a message', async (t) => {
  const tool = { interceptors: [{ event: 'e.v1.do', action: 'run' }] };
  const trapped = busWith({ pub: acts, tool, guard: guard({ answer: () => new Fault('crashed', 'trap') }) });
  await trapped.trigger('pub', 'e.v1.do', 1);
  t.same(trapped.calls, ['guard.guard 1']);
  const full = busWith({ pub: acts, tool, guard: guard({ refusal: new Fault('rate_limited', 'full') }) });
  await full.trigger('pub', 'e.v1.do', 1);
  t.same(full.calls, []);
});

test('a guard with a wildcard, holds for a tool named like discovery, too', async (t) => {
  const tool = { interceptors: [{ event: 'e.v1.describe', action: 'run' }] };
  const wide = guard({ interceptors: [{ event: 'e.v1.*', action: 'guard', priority: 1 }] });
  const b = busWith({ pub: acts, tool, guard: wide });
  await b.trigger('pub', 'e.v1.describe', 1);
  await settled();
  t.same(b.calls, ['guard.guard 1']);
});

test('a guard that goes on, the hook reaches those behind it in order, with the payload of the caller', async (t) => {
  const tool = { interceptors: [{ event: 'e.v1.do', action: 'run' }], answer: () => '"ran"' };
  const b = busWith({ pub: acts, tool, guard: guard({ answer: () => '{"checked":true}' }) });
  t.equal(String(await b.trigger('pub', 'e.v1.do', { a: 1 })), '[{"checked":true},"ran"]');
  t.same(b.calls, ['guard.guard {"a":1}', 'tool.run {"a":1}']);
});

const looping = (priority: number, event = 'e.v1.do') => ({
  loop: true,
  interceptors: [{ event, action: 'run', priority }],
});

test('a guard that denies, a run loop behind it does not get the message, and one before it and an observer do', async (t) => {
  const b = busWith({ pub: acts, behind: looping(100), before: looping(0), guard: guard() });
  b.router.addEndpoint({ id: 'observer', sourceId: 'o', publish: [], subscribe: [] });
  const seen = b.router.subscribe('observer', 'e.v1.do', { checkAcl: false });
  b.publish('pub', 'e.v1.do', { x: 1 });
  t.equal(b.waiting('before').length, 1, 'at once: nobody stands before it');
  await settled();
  t.same(b.calls, ['guard.guard {"x":1}']);
  t.same(b.waiting('behind'), []);
  t.equal(b.waiting('observer', seen).length, 1);
});

test('interceptors of the same priority, hold a run loop up only when they must not be skipped', async (t) => {
  const same = (fail: 'open' | 'closed') =>
    guard({ interceptors: [{ event: 'e.v1.do', action: 'guard', priority: 100, fail }] });
  const open = busWith({ pub: acts, behind: looping(100), other: same('open') });
  open.publish('pub', 'e.v1.do', 1);
  t.equal(open.waiting('behind').length, 1, 'at once: one of them may wait for what the run loop says');
  const closed = busWith({ pub: acts, behind: looping(100), guard: same('closed') });
  closed.publish('pub', 'e.v1.do', 1);
  await settled();
  t.same(closed.waiting('behind'), []);
});

test('a hook whose caller has ended, asks nobody any more', async (t) => {
  const cancel = new AbortController();
  const tool = { interceptors: [{ event: 'e.v1.do', action: 'run' }] };
  const first = {
    interceptors: [{ event: 'e.v1.do', action: 'end', priority: 1 }],
    answer: () => {
      cancel.abort();
      return '"ended"';
    },
  };
  const b = busWith({ pub: acts, first, tool });
  await t.rejects(b.trigger('pub', 'e.v1.do', 1, cancel.signal), { code: 'cancelled' });
  t.same(b.calls, ['first.end 1']);
});

test('a guard that is not there and must not be skipped, a run loop behind it does not get the message', async (t) => {
  const b = busWith({ pub: acts, behind: looping(100), guard: guard({ refusal: new Fault('not_ready', 'stopped') }) });
  b.publish('pub', 'e.v1.do', 1);
  await settled();
  t.same(b.waiting('behind'), []);
});

test('interceptors before a run loop, it gets the message after them, with what they replaced, on topics further down as well', async (t) => {
  const replaces = {
    interceptors: [
      { event: 'e.v1.do', action: 'redact', priority: 1 },
      { event: 'e.v1.down.deep', action: 'look', priority: 1 },
    ],
    answer: (action: string) => (action === 'redact' ? '{"secret":"***"}' : ''),
  };
  const b = busWith({ pub: { publish: ['e.v1.do', 'e.v1.*.*'] }, behind: looping(100, 'e.v1.*'), replaces });
  b.publish('pub', 'e.v1.do', { secret: 'abc' });
  t.same(b.waiting('behind'), []);
  await settled();
  b.publish('pub', 'e.v1.down.deep', 2);
  await settled();
  t.match(b.waiting('behind'), [
    { topic: 'e.v1.do', seq: 1, payload: { type: 'custom', data: { secret: '***' } } },
    { topic: 'e.v1.down.deep', payload: { type: 'custom', data: 2 } },
  ]);
});

test('a run loop that is gone when its turn in the chain comes, is passed over', async (t) => {
  const b = busWith({ pub: acts, behind: looping(100), guard: guard({ answer: () => '' }) });
  b.publish('pub', 'e.v1.do', 1);
  b.router.removeEndpoint('behind');
  await settled();
  t.same(b.calls, ['guard.guard 1']);
  t.same(b.faults, []);
});

test('a handler that fails on a payload of the greatest depth, is announced', async (t) => {
  const dead = { interceptors: [{ event: 'e.v1.do', action: 'a' }], refusal: new Fault('not_ready', 'failed') };
  const b = busWith({ pub: acts, dead });
  b.router.addEndpoint({ id: 'ear', sourceId: 'e', publish: [], subscribe: [] });
  const ear = b.router.subscribe('ear', 'astrid.v1.delivery.failed', { checkAcl: false });
  let deep: unknown = 1;
  for (let depth = 0; depth < 48; depth++) deep = [deep];
  b.publish('pub', 'e.v1.do', deep);
  await settled();
  t.match(b.waiting('ear', ear), [{ payload: { data: { topic: 'e.v1.do', capsule_id: 'dead', payload: deep } } }]);
  t.same(b.faults, []);
});
