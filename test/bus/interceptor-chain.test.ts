import { test } from 'tap';
import { Fault } from '../../abi/errno.js';
import { type ChainStep, decodeInterceptResult, type InterceptResult, runChain } from '../../bus/interceptor-chain.js';

const bytes = (text: string) => Buffer.from(text, 'latin1');

function step(endpoint: string, priority = 100, fail: 'open' | 'closed' = 'open'): ChainStep {
  return { endpoint, action: 'handle', priority, fail };
}

/** Runs `steps` with one scripted answer per endpoint; tells who was called with what. */
async function run(steps: ChainStep[], answers: Record<string, InterceptResult | Error>) {
  const calls: string[] = [];
  const outcome = await runChain(steps, bytes('start'), async ({ endpoint }, payload) => {
    calls.push(`${endpoint}:${payload.toString()}`);
    const answer = answers[endpoint] ?? { kind: 'continue' };
    if (answer instanceof Error) throw answer;
    return answer;
  });
  return { ...outcome, payload: outcome.payload.toString(), calls: calls.join(' ') };
}

test('intercept result, each kind of output, means what the reference says', async (t) => {
  t.strictSame(decodeInterceptResult(bytes('')), { kind: 'continue' });
  t.strictSame(decodeInterceptResult(bytes('\x00')), { kind: 'continue' });
  t.strictSame(decodeInterceptResult(bytes('\x00{}')), { kind: 'continue', payload: bytes('{}') });
  t.strictSame(decodeInterceptResult(bytes('\x01{}')), { kind: 'final', payload: bytes('{}') });
  t.strictSame(decodeInterceptResult(bytes('\x01')), { kind: 'final', payload: bytes('') });
  t.strictSame(decodeInterceptResult(bytes('\x02no')), { kind: 'deny', reason: 'no' });
  t.strictSame(decodeInterceptResult(bytes('{"a":1}')), { kind: 'continue', payload: bytes('{"a":1}') });
  t.strictSame(decodeInterceptResult(bytes('\x03x')), { kind: 'continue', payload: bytes('\x03x') });
});

test('intercept result, the null of the oldest SDKs, leaves the payload as it was', async (t) => {
  t.strictSame(decodeInterceptResult(bytes('null')), { kind: 'continue' });
  t.match(decodeInterceptResult(bytes('nullx')), { kind: 'continue', payload: bytes('nullx') });
});

test('intercept result, an endless or malformed reason, is cut and made text', async (t) => {
  const result = decodeInterceptResult(Buffer.concat([bytes('\x02\xff\xfe'), Buffer.alloc(100_000, 'x')]));
  t.ok(result.kind === 'deny' && result.reason.length === 1024 && result.reason.startsWith('\ufffd'));
});

test('chain, priorities mixed, runs lower first and ties as given', async (t) => {
  const { calls, verdict } = await run([step('d', 200), step('b'), step('a', 1), step('c')], {});
  t.equal(calls, 'a:start b:start c:start d:start');
  t.equal(verdict, 'continue');
});

test('chain, continue with a payload, hands it to the next step', async (t) => {
  const outcome = await run([step('a'), step('b'), step('c')], {
    a: { kind: 'continue', payload: bytes('one') },
    b: { kind: 'continue' },
  });
  t.match(outcome, { calls: 'a:start b:one c:one', payload: 'one', verdict: 'continue', endedBy: null, reason: null });
});

test('chain, final or deny, ends it there', async (t) => {
  const final = await run([step('a'), step('b')], { a: { kind: 'final', payload: bytes('end') } });
  t.match(final, { calls: 'a:start', payload: 'end', verdict: 'final', endedBy: { endpoint: 'a' } });
  const deny = await run([step('a'), step('b')], { a: { kind: 'deny', reason: 'no' } });
  t.match(deny, { calls: 'a:start', payload: 'start', verdict: 'deny', reason: 'no', endedBy: { endpoint: 'a' } });
});

test('chain, a step fails open, is skipped and reported', async (t) => {
  const outcome = await run([step('a'), step('b'), step('c')], {
    a: { kind: 'continue', payload: bytes('one') },
    b: new Fault('timed_out', 'too slow'),
  });
  t.match(outcome, { calls: 'a:start b:one c:one', verdict: 'continue', payload: 'one' });
  t.match(outcome.failures, [{ step: { endpoint: 'b' }, fault: { code: 'timed_out' } }]);
});

test('chain, a step that says closed fails, denies and is reported', async (t) => {
  const outcome = await run([step('a', 100, 'closed'), step('b')], { a: new TypeError('crash') });
  t.match(outcome, { calls: 'a:start', verdict: 'deny', endedBy: { endpoint: 'a' }, reason: /failed/ });
  t.match(outcome.failures, [{ fault: { code: 'internal' } }]);
  t.notMatch(outcome.reason, /crash/, 'the reason tells nothing of the inside');
});

test('chain, no steps, continues with the payload', async (t) => {
  t.match(await run([], {}), { verdict: 'continue', payload: 'start', failures: [] });
});

test('chain, an empty new payload from final, replaces the payload', async (t) => {
  t.match(await run([step('a')], { a: { kind: 'final', payload: bytes('') } }), { payload: '', verdict: 'final' });
});
