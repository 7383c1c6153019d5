import { type Test, test } from 'tap';
import type { ElicitRow } from '../../abi/control.js';
import { asFault } from '../../abi/errno.js';
import { LIMITS } from '../../abi/limits.js';
import type { Actor } from '../../bus/message.js';
import { Router } from '../../bus/router.js';
import { BusPort } from '../../supervisor/bus-port.js';
import { Delivery } from '../../supervisor/delivery.js';
import { readElicitRequest } from '../../supervisor/lifecycle/elicit-request.js';
import { ANSWER_PREFIX, type Asker, Questions } from '../../supervisor/lifecycle/questions.js';
import type { CallContext } from '../../supervisor/syscalls/handler.js';
import { useUpDescriptors } from '../kit/short-of.js';
import { MAIL, openSecretBench } from '../secrets/store-kit.js';

const ACTOR: Actor = { principal: 'default', attribution: 'verified', session: null };
const PREFIX = 'astrid.v1.elicit.response.';

/** The bus as it is, with an uplink that may answer, a capsule that may not, and one that listens to everything. */
function bench(t: Test, more: { uplink?: boolean; waitMs?: number } = {}) {
  const { store } = openSecretBench(t);
  const router = new Router();
  const endpoint = { publish: [`${PREFIX}*`], subscribe: ['astrid.v1.elicit.response.*', 'astrid.v1.elicit'] };
  router.addEndpoint({ id: 'uplink', sourceId: 'u', ...endpoint, speaksForPeople: true });
  router.addEndpoint({ id: 'forger', sourceId: 'f', ...endpoint });
  const eavesdropped = router.subscribe('forger', 'astrid.v1.elicit.response.*', { checkAcl: false });
  const heard = router.subscribe('forger', 'astrid.v1.elicit', { checkAcl: false });
  router.addInterceptor('forger', { event: 'astrid.v1.elicit.response.*', action: 'steal' });
  const called: string[] = [];
  const log: string[] = [];
  const delivery = new Delivery({
    processOf: (name) => void called.push(name) as undefined,
    publishKernel: () => undefined,
    publishFor: () => undefined,
    log: () => undefined,
  });
  const questions: Questions = new Questions({
    secrets: store,
    publish: (topic, payload, actor) => bus.publishKernel(topic, payload, actor),
    uplinkRuns: () => more.uplink !== false,
    log: (_capsule, message) => void log.push(message),
    now: () => 1,
    ...(more.waitMs === undefined ? {} : { waitMs: more.waitMs }),
  });
  const bus: BusPort = new BusPort({
    router,
    delivery,
    processOf: () => undefined,
    onFault: (fault) => t.fail(fault.message),
    inbox: () => [{ prefix: ANSWER_PREFIX, receive: (_from, message) => questions.receive(message) }],
  });
  const cancel = new AbortController();
  const ask = (request: object, asker: Partial<Asker> = {}) =>
    questions.ask(readElicitRequest(request), {
      capsule: 'mail',
      phase: 'install',
      actor: ACTOR,
      cancel: cancel.signal,
      ...asker,
    });
  const rows: ElicitRow[] = [];
  const publish = (from: string, topic: string, payload: object, actor: Actor = ACTOR) =>
    bus.publish(from, topic, Buffer.from(JSON.stringify(payload)), { actor } as CallContext);
  return {
    store,
    questions,
    ask,
    rows,
    log,
    called,
    cancel,
    follow: () => questions.follow((row) => void rows.push(row)),
    stolen: () => router.poll('forger', eavesdropped).messages,
    told: () => router.poll('forger', heard).messages,
    answer: (from: string, id: string, payload: object, actor?: Actor) =>
      publish(from, `${PREFIX}${id}`, { type: 'elicit_response', request_id: id, ...payload }, actor),
  };
}

test('answer on the bus, by an uplink, is taken and reaches no subscriber and no interceptor', async (t) => {
  const b = bench(t);
  b.follow();
  const asked = b.ask({ type: 'text', key: 'city' });
  b.answer('uplink', b.rows[0]!.id, { value: 'Bonn' });
  t.same(await asked, { value: 'Bonn' });
  t.same(b.stolen(), []);
  t.same(b.called, []);
  t.match(b.told()[0], {
    sourceId: '00000000-0000-0000-0000-000000000000',
    payload: { type: 'elicit_request', capsule_id: 'mail', field: { key: 'city', prompt: 'city', field_type: 'Text' } },
  });
});

test('attack, an answer published by a capsule that speaks for nobody, is refused', async (t) => {
  const b = bench(t);
  b.follow();
  const asked = b.ask({ type: 'text', key: 'city' });
  const { id } = b.rows[0]!;
  t.throws(() => b.answer('forger', id, { value: 'forged' }), { code: 'capability_missing' });
  await b.questions.answer(id, { value: 'real' });
  t.same(await asked, { value: 'real' });
});

test('attack, an answer for a secret over the bus, is dropped, seen by nobody, and the question stays', async (t) => {
  const b = bench(t);
  b.follow();
  const asked = b.ask({ type: 'secret', key: 'token' });
  const { id } = b.rows[0]!;
  b.answer('uplink', id, { value: 'canary' });
  t.same(b.stolen(), []);
  t.same(b.called, []);
  t.notMatch(JSON.stringify([b.log, b.rows]), /canary/);
  t.equal(b.log.length, 1);
  t.equal(await b.store.has(MAIL, 'token'), false);
  await t.rejects(b.questions.answer(id, { value: '' }), { code: 'invalid_argument' });
  await b.questions.answer(id, { value: 'typed' });
  t.same(await asked, { ok: true });
  t.equal((await b.store.read(MAIL, 'token'))?.toString(), 'typed');
  await t.rejects(b.questions.answer(id, { value: 'again' }), { code: 'not_found' });
});

test('a question that is cancelled while its secret is being stored, is told as settled once', async (t) => {
  const b = bench(t);
  b.follow();
  const asked = b.ask({ type: 'secret', key: 'token' });
  const answered = b.questions.answer(b.rows[0]!.id, { value: 'typed' });
  b.cancel.abort();
  await t.rejects(asked, { code: 'cancelled' });
  await answered;
  t.same(
    b.rows.map(({ state }) => state),
    ['open', 'cancelled'],
  );
});

test('a secret that cannot be stored, is told to who asked and to who answered, and is not there', async (t) => {
  const b = bench(t);
  b.follow();
  const asked = b.ask({ type: 'secret', key: 'token' });
  const free = await useUpDescriptors();
  const told = asked.then(
    () => 'stored',
    (error: unknown) => asFault(error).code,
  );
  const answered = await b.questions.answer(b.rows[0]!.id, { value: 'v1' }).catch((error: unknown) => asFault(error));
  await free();
  t.match(answered, { code: 'io_error' });
  t.equal(await told, 'io_error');
  t.equal(await b.store.has(MAIL, 'token'), false);
});

test("attack, an answer to another principal's question, to a made-up one and to one that is over, changes nothing and is seen by nobody", async (t) => {
  const b = bench(t);
  b.follow();
  const asked = b.ask({ type: 'text', key: 'city' });
  const { id } = b.rows[0]!;
  b.answer('uplink', id, { value: 'wrong' }, { ...ACTOR, principal: 'mallory' });
  b.answer('uplink', 'ffffffff-ffff-4fff-8fff-ffffffffffff', { value: 'canary' });
  await b.questions.answer(id, { value: 'right' });
  b.answer('uplink', id, { value: 'late canary' });
  t.same(await asked, { value: 'right' });
  t.same(b.stolen(), []);
});

test('attack, an answer of another form, another id inside, too long or outside of the options, does not get through', async (t) => {
  const b = bench(t);
  b.follow();
  const select = { type: 'select', key: 'size', options: ['s', 'l'] };
  const cases: readonly (readonly [object, object, string])[] = [
    [select, { value: 'm' }, 'invalid_argument'],
    [
      { type: 'text', key: 'a' },
      { request_id: 'ffffffff-ffff-4fff-8fff-ffffffffffff', value: 'x' },
      'invalid_argument',
    ],
    [{ type: 'text', key: 'a' }, { value: 'x'.repeat(LIMITS.elicitAnswerBytesMax + 1) }, 'too_large'],
    [{ type: 'array', key: 'a' }, { value: 'x' }, 'invalid_argument'],
    [{ type: 'text', key: 'a' }, {}, 'cancelled'],
  ];
  for (const [question, answer, code] of cases) {
    const asked = b.ask(question);
    asked.catch(() => undefined);
    b.answer('uplink', b.rows.at(-1)!.id, answer);
    await t.rejects(asked, { code });
  }
  t.same(b.stolen(), []);
});

test('elicit, in the normal phase, without anybody, beyond 16 at once, too late or cancelled, ends in its own error', async (t) => {
  const b = bench(t, { uplink: false, waitMs: 20 });
  const text = { type: 'text', key: 'a' };
  t.throws(() => b.ask(text, { phase: 'normal' }), { code: 'not_supported' });
  t.throws(() => b.ask(text), { code: 'cancelled', message: /^a: nobody/ });
  const unfollow = b.follow();
  await t.rejects(b.ask(text), { code: 'timed_out' });
  const many = Array.from({ length: LIMITS.elicitOpenMax }, () => b.ask(text));
  for (const one of many) one.catch(() => undefined);
  t.throws(() => b.ask(text), { code: 'quota_exceeded' });
  b.cancel.abort();
  for (const one of many) await t.rejects(one, { code: 'cancelled' });
  unfollow();
});

test('attack, a secret question while only an uplink capsule is there, is refused at once', (t) => {
  const b = bench(t);
  t.throws(() => b.ask({ type: 'secret', key: 'token' }), { code: 'cancelled' });
  t.end();
});
