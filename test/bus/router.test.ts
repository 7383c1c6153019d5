import { test } from 'tap';
import { encodeEnvelope } from '../../bus/envelope.js';
import type { Actor } from '../../bus/message.js';
import { NIL_UUID } from '../../bus/message.js';
import { LAG_TOPIC, Router } from '../../bus/router.js';

const MIB = 1024 * 1024;
const ALICE: Actor = { principal: 'alice', attribution: 'verified', session: 's1' };
const BOB: Actor = { principal: 'bob', attribution: 'verified', session: 's2' };
const SYSTEM: Actor = { principal: '', attribution: 'system', session: null };

/** A router with a clock that stands still, one publisher that may say anything under `a.v1`, and subscribers on demand. */
function routerOf(onLag?: (endpointId: string, laggedCount: number) => void) {
  const clock = { ms: Date.UTC(2026, 0, 1) };
  const router = new Router({ now: () => clock.ms, ...(onLag && { onLag }) });
  router.addEndpoint({ id: 'pub', sourceId: 'uuid-of-pub', publish: ['a.v1.*'], subscribe: [] });
  return { router, clock };
}

function addSubscriber(router: Router, id: string, pattern: string, session?: string): number {
  router.addEndpoint({ id, sourceId: `uuid-of-${id}`, publish: [], subscribe: [pattern] });
  return router.subscribe(id, pattern, { checkAcl: true, ...(session !== undefined && { session }) });
}

const json = (value: unknown) => Buffer.from(JSON.stringify(value));

function topicsOf(router: Router, id: string, handle: number): string[] {
  return router.poll(id, handle).messages.map((message) => message.topic);
}

test('router, a guest publishes, each subscriber gets the message with what the kernel stamps', async (t) => {
  const { router } = routerOf();
  const handle = addSubscriber(router, 'sub', 'a.v1.*');
  const { message } = router.publish('pub', 'a.v1.b', json({ n: 1 }), 0, ALICE);
  t.strictSame(router.poll('sub', handle), { messages: [message], dropped: 0, lagged: 0 });
  t.strictSame(message, {
    topic: 'a.v1.b',
    payload: { type: 'custom', data: { n: 1 } },
    payloadBytes: 7,
    heapBytes: 7 * 2 + 64 + 48 + 8,
    sourceId: 'uuid-of-pub',
    timestamp: '2026-01-01T00:00:00.000Z',
    seq: 1,
    actor: ALICE,
  });
  t.strictSame(router.poll('sub', handle), { messages: [], dropped: 0, lagged: 0 });
});

test('router, the payload names a principal or a source, the stamped ones stay', async (t) => {
  const { router } = routerOf();
  const handle = addSubscriber(router, 'sub', 'a.v1.*');
  const forged = { type: 'user_input', text: 'x', principal: 'root', source_id: NIL_UUID, seq: 0 };
  router.publish('pub', 'a.v1.b', json(forged), 0, ALICE);
  const [seen] = JSON.parse(encodeEnvelope(router.poll('sub', handle)).toString()).messages;
  t.match(seen, { principal: 'alice', source_id: 'uuid-of-pub', seq: 1 });
  t.strictSame(seen.payload, { type: 'user_input', text: 'x', session_id: 'default' });
});

test('router, the kernel publishes, source is nil, payload is as given and eight segments are no limit', async (t) => {
  const { router } = routerOf();
  router.addEndpoint({ id: 'sub', sourceId: 'x', publish: [], subscribe: [] });
  const handle = router.subscribe('sub', 'k.*', { checkAcl: false });
  const ready = { type: 'raw_json', status: 'ready' };
  router.publish(null, `k${'.x'.repeat(19)}`, ready, 0, SYSTEM);
  router.publish(null, 'k.plain', { lagged_count: 1 }, 0, SYSTEM);
  router.publish(null, 'k.event', { type: 'kernel_shutdown', reason: 'r' }, 0, SYSTEM);
  const { messages } = router.poll('sub', handle);
  t.strictSame(
    messages.map(({ payload }) => payload),
    [ready, { type: 'custom', data: { lagged_count: 1 } }, { type: 'kernel_shutdown', reason: 'r' }],
  );
  t.ok(messages.every(({ sourceId, payloadBytes }) => sourceId === NIL_UUID && payloadBytes > 0));
  t.throws(() => router.publish(null, 'k..x', ready, 0, SYSTEM), { code: 'invalid_argument' });
});

test('router, sequence numbers, rise by one over the whole bus and skip nothing that was refused', async (t) => {
  const { router } = routerOf();
  t.equal(router.publish('pub', 'a.v1.b', json(1), 0, ALICE).message.seq, 1);
  t.equal(router.publish(null, 'x', 1, 1, SYSTEM).message.seq, 2);
  t.throws(() => router.publish('pub', 'a.v1.b', Buffer.from('{'), 0, ALICE), { code: 'invalid_argument' });
  t.throws(() => router.publish('pub', 'z', json(1), 0, ALICE), { code: 'capability_missing' });
  t.equal(router.publish('pub', 'a.v1.b', json(1), 0, ALICE).message.seq, 3);
});

test('router, the ACL is empty, nothing may be published and nothing subscribed', async (t) => {
  const { router } = routerOf();
  router.addEndpoint({ id: 'mute', sourceId: 'x', publish: [], subscribe: [] });
  for (const topic of ['a', 'a.v1.b', 'user.v1.prompt']) {
    t.throws(() => router.publish('mute', topic, json(1), 0, ALICE), { code: 'capability_missing', field: 'topic' });
  }
  for (const pattern of ['a', 'a.*', '*']) {
    t.throws(() => router.subscribe('mute', pattern, { checkAcl: true }), {
      code: 'capability_missing',
      field: 'pattern',
    });
  }
});

test('router, topics near a declared one, are refused by the publish ACL', async (t) => {
  const { router } = routerOf();
  for (const topic of ['a.v1', 'a.v1.b.c', 'a.v2.b', 'A.v1.b', 'ab.v1.b', 'a.v1x.b', 'b.a.v1.b']) {
    t.throws(() => router.publish('pub', topic, json(1), 0, ALICE), { code: 'capability_missing' }, topic);
  }
  for (const topic of ['a.v1.', 'a.v1.*', 'a.v1.b\n', '.a.v1', '']) {
    t.throws(() => router.publish('pub', topic, json(1), 0, ALICE), { code: 'invalid_argument' }, topic);
  }
});

test('router, patterns wider than declared, are refused by the subscribe ACL', async (t) => {
  const { router } = routerOf();
  router.addEndpoint({ id: 'sub', sourceId: 'x', publish: [], subscribe: ['a.v1.b', 'c.v1.*', 'd.*.e'] });
  for (const pattern of ['a.v1.b', 'c.v1.*', 'c.v1.x', 'd.x.e']) {
    t.ok(router.subscribe('sub', pattern, { checkAcl: true }) > 0, pattern);
  }
  for (const pattern of ['a.v1.*', 'a.*', '*', 'c.v1.x.y', 'c.*']) {
    t.throws(() => router.subscribe('sub', pattern, { checkAcl: true }), { code: 'capability_missing' }, pattern);
  }
  t.throws(() => router.subscribe('sub', 'd.*.e', { checkAcl: true }), { code: 'invalid_argument' });
  t.ok(router.subscribe('sub', 'd.*.e', { checkAcl: false }), 'the host subscribes for it to what it intercepts');
});

test('router, an ACL entry that is malformed, is refused when the endpoint is added', async (t) => {
  const router = new Router();
  const spec = { id: 'e', sourceId: 'x', publish: [], subscribe: [] };
  t.throws(() => router.addEndpoint({ ...spec, publish: ['a..b'] }), { code: 'invalid_argument', field: 'publish' });
  t.throws(() => router.addEndpoint({ ...spec, subscribe: ['a.'] }), { code: 'invalid_argument', field: 'subscribe' });
  router.addEndpoint(spec);
  t.throws(() => router.addEndpoint(spec), { code: 'already_exists' });
});

test('router, several things wrong with one publish, tells the first in the order of the reference', async (t) => {
  const { router } = routerOf();
  const bad = Buffer.from('{');
  const publish = (topic: string, bytes: number) => () => router.publish('pub', topic, 1, bytes, ALICE);
  t.throws(publish(`${'x'.repeat(300)}..`, 6 * MIB), { code: 'too_large', field: 'topic' });
  t.throws(publish('a..b', 6 * MIB), { code: 'too_large', field: 'payload' });
  t.throws(publish('a..b.c.d.e.f.g.h.i', 5 * MIB), { message: /empty segment/ });
  t.throws(publish('z.b.c.d.e.f.g.h.i', 5 * MIB), { message: /segments/ });
  t.throws(publish('z', 1), { code: 'rate_limited' }, 'the refused ones were charged');
  t.throws(() => router.publish('pub', 'z', bad, 0, BOB), { code: 'capability_missing' }, 'ACL before JSON');
  t.throws(() => router.publish('pub', 'a.v1.b', bad, 0, BOB), { code: 'invalid_argument', field: 'payload' });
});

test('router, one principal over its rate, is refused until the window is over and others are not', async (t) => {
  const { router, clock } = routerOf();
  router.addEndpoint({ id: 'other', sourceId: 'x', publish: ['a.v1.*'], subscribe: [] });
  const publish = (from: string, actor: Actor, bytes: number) => router.publish(from, 'a.v1.b', 1, bytes, actor);
  publish('pub', ALICE, 5 * MIB);
  publish('pub', ALICE, 5 * MIB);
  t.throws(() => publish('pub', ALICE, 1), { code: 'rate_limited' });
  t.ok(publish('pub', BOB, 5 * MIB), 'another principal of the same capsule');
  t.ok(publish('other', ALICE, 5 * MIB), 'another capsule for the same principal');
  clock.ms += 1000;
  t.ok(publish('pub', ALICE, 5 * MIB));
});

test('router, handles, count from 1 per endpoint and are never used again', async (t) => {
  const { router } = routerOf();
  router.addEndpoint({ id: 'one', sourceId: 'x', publish: [], subscribe: ['*'] });
  router.addEndpoint({ id: 'two', sourceId: 'x', publish: [], subscribe: ['*'] });
  const subscribe = (id: string) => router.subscribe(id, 'a', { checkAcl: true });
  t.strictSame([subscribe('one'), subscribe('one'), subscribe('two')], [1, 2, 1]);
  router.unsubscribe('one', 2);
  t.equal(subscribe('one'), 3);
  for (const handle of [0, 2, 4, -1, 1.5, Number.NaN]) {
    t.throws(() => router.poll('one', handle), { code: 'bad_handle', field: 'handle' });
    t.throws(() => router.unsubscribe('one', handle), { code: 'bad_handle' });
    t.throws(() => router.onReady('one', handle, () => {}), { code: 'bad_handle' });
  }
  t.throws(() => router.poll('two', 2), { code: 'bad_handle' }, 'the handle of another endpoint');
});

test('router, 128 subscriptions alive, refuses the next and takes one again after an unsubscribe', async (t) => {
  const { router } = routerOf();
  router.addEndpoint({ id: 'sub', sourceId: 'x', publish: [], subscribe: ['*'] });
  for (let i = 0; i < 128; i++) router.subscribe('sub', 'a', { checkAcl: i % 2 === 0 });
  t.throws(() => router.subscribe('sub', 'a', { checkAcl: true }), { code: 'quota_exceeded' });
  router.unsubscribe('sub', 64);
  t.equal(router.subscribe('sub', 'a', { checkAcl: true }), 129);
});

test('router, many handles full of short texts that are large values, hold no more than one endpoint may', async (t) => {
  const { router, clock } = routerOf();
  router.addEndpoint({ id: 'sub', sourceId: 'x', publish: [], subscribe: ['a.v1.*'] });
  const handles = Array.from({ length: 16 }, (_, i) => router.subscribe('sub', `a.v1.t${i}`, { checkAcl: true }));
  // Two messages of a megabyte each, in each queue: some 600 MiB once they are parsed.
  const bomb = Buffer.from(`[${'{},'.repeat(350_000)}0]`);
  for (const index of [...handles.keys(), ...handles.keys()]) {
    clock.ms += 1000;
    router.publish('pub', `a.v1.t${index}`, bomb, 0, ALICE);
  }
  const [counters] = router.snapshot().filter(({ id }) => id === 'sub');
  t.equal(counters?.queuedMessages, 2, 'no more than fit');
  t.equal(counters?.lagged, 30);
  for (const handle of handles) router.unsubscribe('sub', handle);
  const handle = router.subscribe('sub', 'a.v1.t0', { checkAcl: true });
  for (let i = 0; i < 3; i++) router.publish('pub', 'a.v1.t0', json(i), 0, ALICE);
  t.equal(router.poll('sub', handle).messages.length, 3, 'what was given up counts no more');
});

test('router, a subscription, hears what came after it, at every depth, and its own endpoint too', async (t) => {
  const { router } = routerOf();
  router.publish('pub', 'a.v1.early', json(1), 0, ALICE);
  router.addEndpoint({ id: 'both', sourceId: 'x', publish: ['a.v1.*'], subscribe: ['a.v1.*'] });
  const handle = router.subscribe('both', 'a.v1.*', { checkAcl: true });
  router.publish('both', 'a.v1.own', json(1), 0, ALICE);
  router.publish(null, 'a.v1.b.c.d', json(1), 0, SYSTEM);
  router.publish(null, 'a.v1', json(1), 0, SYSTEM);
  router.publish(null, 'a.v2.b', json(1), 0, SYSTEM);
  t.strictSame(topicsOf(router, 'both', handle), ['a.v1.own', 'a.v1.b.c.d']);
  router.unsubscribe('both', handle);
  for (let i = 0; i < 5_000; i++) router.publish('both', 'a.v1.late', json(1), 0, ALICE);
  t.throws(() => router.poll('both', handle), { code: 'bad_handle' });
  t.match(router.countersOf('both'), { lagged: 0, queuedMessages: 0 }, 'and nothing fills a queue behind its back');
});

test('router, a subscription with a session, gets the messages of that session and no others', async (t) => {
  const { router } = routerOf();
  const handle = addSubscriber(router, 'sub', 'a.v1.*', 's1');
  router.publish('pub', 'a.v1.mine', json(1), 0, ALICE);
  router.publish('pub', 'a.v1.theirs', json(1), 0, BOB);
  router.publish('pub', 'a.v1.none', json(1), 0, { ...ALICE, session: null });
  t.strictSame(topicsOf(router, 'sub', handle), ['a.v1.mine']);
});

test('router, a slow subscriber and very many messages, counts each loss and keeps the reliable last one', async (t) => {
  const lags: [string, number][] = [];
  const { router, clock } = routerOf((id, count) => lags.push([id, count]));
  const slow = addSubscriber(router, 'slow', 'a.v1.*');
  const fast = addSubscriber(router, 'fast', 'a.v1.b');
  const total = 8_000;
  let heard = 0;
  for (let i = 0; i < total; i++) {
    clock.ms += 10;
    router.publish('pub', 'a.v1.b', json({ text: 'x'.repeat(200) }), 0, ALICE);
    if (i === 100) router.publish('pub', 'a.v1.done', json('Done'), 0, ALICE, { reliable: true });
    heard += router.poll('fast', fast).messages.length;
  }
  t.equal(heard, total, 'the fast one lost nothing');
  const { messages, dropped, lagged } = router.poll('slow', slow);
  t.equal(messages.length + lagged, total + 1);
  t.equal(dropped, 0);
  t.equal(messages[0]?.topic, 'a.v1.done');
  t.equal(router.poll('slow', slow).lagged, 0, 'losses are told once');
  t.match(router.countersOf('slow'), { delivered: messages.length, lagged, dropped: 0, queuedMessages: 0 });
  t.match(router.countersOf('pub'), { published: total + 1 });
  await Promise.resolve();
  t.strictSame(lags, [['slow', lagged]], 'the host hears once of all of them');
});

test('router, losses of the lag notice itself, are counted and not announced', async (t) => {
  let calls = 0;
  const { router } = routerOf(() => {
    calls += 1;
  });
  router.addEndpoint({ id: 'sub', sourceId: 'x', publish: [], subscribe: [] });
  router.subscribe('sub', LAG_TOPIC, { checkAcl: false });
  for (let i = 0; i < 10_000; i++) router.publish(null, LAG_TOPIC, { lagged_count: 1 }, 0, SYSTEM);
  await Promise.resolve();
  t.ok(router.countersOf('sub').lagged > 0);
  t.equal(calls, 0);
});

test('router, one principal floods a shared subscriber, another principal loses nothing', async (t) => {
  const { router, clock } = routerOf();
  const handle = addSubscriber(router, 'sub', 'a.v1.*');
  for (let i = 0; i < 50; i++) router.publish('pub', 'a.v1.bob', json(i), 0, BOB);
  for (let i = 0; i < 5_000; i++) {
    clock.ms += 100;
    router.publish('pub', 'a.v1.alice', 'x'.repeat(10_000), 10_000, ALICE);
  }
  const { messages } = router.poll('sub', handle);
  t.equal(messages.filter((message) => message.actor.principal === 'bob').length, 50);
});

test('router, payloads that grow past an envelope when serialised, are given up alone and counted as dropped', async (t) => {
  const { router } = routerOf();
  const handle = addSubscriber(router, 'sub', 'a.v1.*');
  router.publish('pub', 'a.v1.small', json(1), 0, ALICE);
  const text = `[${Array.from({ length: 520_000 }, () => '1e20').join(',')}]`;
  router.publish('pub', 'a.v1.growing', Buffer.from(text), 0, ALICE);
  router.publish('pub', 'a.v1.after', json(1), 0, ALICE);
  t.strictSame(topicsOf(router, 'sub', handle), ['a.v1.small']);
  t.strictSame(router.poll('sub', handle), { messages: [], dropped: 1, lagged: 0 });
  t.strictSame(topicsOf(router, 'sub', handle), ['a.v1.after']);
  t.match(router.countersOf('sub'), { dropped: 1, delivered: 2 });
});

test('router, someone waits, is woken once after the publish and never before', async (t) => {
  const { router } = routerOf();
  const handle = addSubscriber(router, 'sub', 'a.v1.*');
  let calls = 0;
  router.onReady('sub', handle, () => {
    calls += 1;
  });
  router.publish('pub', 'a.v1.b', json(1), 0, ALICE);
  router.publish('pub', 'a.v1.b', json(2), 0, ALICE);
  t.equal(calls, 0, 'not inside the publish');
  await Promise.resolve();
  t.equal(calls, 1);
  t.equal(router.poll('sub', handle).messages.length, 2, 'and finds both');
  router.publish('pub', 'a.v1.b', json(3), 0, ALICE);
  await Promise.resolve();
  t.equal(calls, 1, 'a waiter waits once');
});

test('router, a message is there already, the waiter is woken after the call has returned', async (t) => {
  const { router } = routerOf();
  const handle = addSubscriber(router, 'sub', 'a.v1.*');
  router.publish('pub', 'a.v1.b', json(1), 0, ALICE);
  let isWoken = false;
  const cancel = router.onReady('sub', handle, () => {
    isWoken = true;
    cancel();
  });
  t.notOk(isWoken);
  await Promise.resolve();
  t.ok(isWoken);
});

test('router, a waiter that was cancelled, is not woken even if the message came first', async (t) => {
  const { router } = routerOf();
  const handle = addSubscriber(router, 'sub', 'a.v1.*');
  const woken: string[] = [];
  const cancelEarly = router.onReady('sub', handle, () => woken.push('early'));
  const cancelLate = router.onReady('sub', handle, () => woken.push('late'));
  router.onReady('sub', handle, () => woken.push('kept'));
  cancelEarly();
  router.publish('pub', 'a.v1.b', json(1), 0, ALICE);
  cancelLate();
  await Promise.resolve();
  t.strictSame(woken, ['kept']);
});

test('router, an endpoint is removed, its waiters are woken and find cancelled', async (t) => {
  const { router } = routerOf();
  const handle = addSubscriber(router, 'sub', 'a.v1.*');
  const found: unknown[] = [];
  for (let i = 0; i < 2; i++) {
    router.onReady('sub', handle, () => {
      try {
        router.poll('sub', handle);
      } catch (thrown) {
        found.push(thrown);
      }
    });
  }
  router.removeEndpoint('sub');
  await Promise.resolve();
  t.match(found, [{ code: 'cancelled' }, { code: 'cancelled' }]);
});

test('router, an endpoint is removed, nothing of it is left', async (t) => {
  const { router } = routerOf();
  const handle = addSubscriber(router, 'sub', 'a.v1.*');
  router.addInterceptor('sub', { event: 'a.v1.*', action: 'x' });
  router.publish('pub', 'a.v1.b', json(1), 0, ALICE);
  router.removeEndpoint('sub');
  router.removeEndpoint('sub');
  t.strictSame(router.publish('pub', 'a.v1.b', json(1), 0, ALICE).interceptors, []);
  t.strictSame(
    router.snapshot().map(({ id }) => id),
    ['pub'],
  );
  t.throws(() => router.publish('sub', 'a.v1.b', json(1), 0, ALICE), { code: 'cancelled' });
  t.throws(() => router.subscribe('sub', 'a.v1.*', { checkAcl: true }), { code: 'cancelled' });
  t.throws(() => router.addInterceptor('sub', { event: 'a', action: 'x' }), { code: 'cancelled' });
  router.addEndpoint({ id: 'sub', sourceId: 'new', publish: [], subscribe: ['a.v1.*'] });
  t.throws(() => router.poll('sub', handle), { code: 'bad_handle' }, 'a successor does not inherit handles');
});

test('router, interceptors, match by rule B and come in chain order', async (t) => {
  const { router } = routerOf();
  for (const id of ['x', 'y', 'z']) router.addEndpoint({ id, sourceId: id, publish: [], subscribe: [] });
  router.addInterceptor('x', { event: 'a.v1.b', action: 'late', priority: 200 });
  router.addInterceptor('y', { event: 'a.v1.*', action: 'second' });
  router.addInterceptor('z', { event: 'a.*.b', action: 'third', fail: 'closed' });
  router.addInterceptor('x', { event: 'a.v1.b', action: 'first', priority: 1 });
  router.addInterceptor('x', { event: 'a.*', action: 'too short' });
  router.addInterceptor('x', { event: 'a.v1.b.c', action: 'too long' });
  const { interceptors } = router.publish('pub', 'a.v1.b', json(1), 0, ALICE);
  t.strictSame(
    interceptors.map(({ endpoint, action, priority, fail }) => [endpoint, action, priority, fail]),
    [
      ['x', 'first', 1, 'open'],
      ['y', 'second', 100, 'open'],
      ['z', 'third', 100, 'closed'],
      ['x', 'late', 200, 'open'],
    ],
  );
  t.strictSame(router.matchInterceptors('a.v1.b'), interceptors);
  t.throws(() => router.addInterceptor('x', { event: 'a..b', action: 'bad' }), {
    code: 'invalid_argument',
    field: 'event',
  });
});

test('router, a lifecycle event, is for interceptors only', async (t) => {
  const { router } = routerOf();
  router.addEndpoint({ id: 'sub', sourceId: 'x', publish: [], subscribe: [] });
  const handle = router.subscribe('sub', 'astrid.*', { checkAcl: false });
  router.addInterceptor('sub', { event: 'astrid.v1.lifecycle.*', action: 'seen' });
  const event = { type: 'kernel_shutdown', reason: 'r' };
  const options = { interceptorsOnly: true };
  const { interceptors } = router.publish(null, 'astrid.v1.lifecycle.kernel_shutdown', event, 0, SYSTEM, options);
  t.equal(interceptors.length, 1);
  t.equal(router.poll('sub', handle).messages.length, 0);
});

test('router, a decoded payload that is nested too deep, is refused like JSON that is', async (t) => {
  const { router } = routerOf();
  let value: unknown = 1;
  for (let i = 0; i < 10_000; i++) value = [value];
  for (const stated of [20_000, 0, -5, Number.NaN]) {
    const publish = () => router.publish('pub', 'a.v1.b', value, stated, ALICE);
    t.throws(publish, { code: 'invalid_argument', field: 'payload' }, `${stated} bytes stated`);
  }
});

test('router, a caller that states no size or nonsense, has the payload measured', async (t) => {
  const { router } = routerOf();
  for (const stated of [0, -5, 1.5, Number.NaN, Number.POSITIVE_INFINITY]) {
    t.equal(router.publish('pub', 'a.v1.b', { a: 'é' }, stated, ALICE).message.payloadBytes, 10, String(stated));
  }
  t.equal(
    router.publish('pub', 'a.v1.b', json([1]), 99, ALICE).message.payloadBytes,
    3,
    'bytes are counted as they are',
  );
  t.throws(() => router.publish('pub', 'a.v1.b', 'x'.repeat(6 * MIB), 0, ALICE), { code: 'too_large' });
});

test('router, counters, are copies of the moment', async (t) => {
  const { router } = routerOf();
  const handle = addSubscriber(router, 'sub', 'a.v1.*');
  router.publish('pub', 'a.v1.b', json(1), 0, ALICE);
  const before = router.snapshot();
  router.poll('sub', handle);
  t.match(before, [
    { id: 'pub', published: 1, subscriptions: 0 },
    { id: 'sub', delivered: 0, subscriptions: 1, queuedMessages: 1 },
  ]);
  t.match(router.countersOf('sub'), { delivered: 1, queuedMessages: 0, queuedBytes: 0 });
});
