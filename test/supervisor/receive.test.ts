import { type Test, test } from 'tap';
import { LIMITS } from '../../abi/limits.js';
import { makeIpcHandlers } from '../../supervisor/syscalls/ipc.js';

const EMPTY_ENVELOPE = Buffer.from('{"messages":[],"dropped":0,"lagged":0}');

function openReceive() {
  const waiters = new Set<() => void>();
  const bus = {
    poll: () => EMPTY_ENVELOPE,
    patternOf: () => 'a.v1.b',
    onReady: (_endpoint: string, _handle: number, wake: () => void) => {
      waiters.add(wake);
      return () => void waiters.delete(wake);
    },
  };
  const { astrid_ipc_recv: receive } = makeIpcHandlers(bus as never, undefined as never);
  const stop = new AbortController();
  const context = { endpoint: 'demo', cancel: stop.signal, setWaiting: () => undefined };
  const call = async () => receive.run({ handle: 1, timeoutMs: 60_000 }, context as never);
  /** As a guest calls it: the time-out is text. */
  const callFor = async (timeout: string) =>
    receive.run(receive.decode([Buffer.from('1'), Buffer.from(timeout)]), context as never);
  return { call, callFor, stop, waiters };
}

/** Timers that run out when the test says so. */
function stopClock(t: Test) {
  const pending = new Map<object, { readonly due: number; readonly run: () => void }>();
  let now = 0;
  const setTimeout = (run: () => void, ms: number) => {
    const timer = {};
    pending.set(timer, { due: now + ms, run });
    return timer;
  };
  const clearTimeout = (timer: object) => void pending.delete(timer);
  t.intercept(globalThis, 'setTimeout', { value: setTimeout });
  t.intercept(globalThis, 'clearTimeout', { value: clearTimeout });
  return (ms: number) => {
    now += ms;
    for (const { due, run } of [...pending.values()]) if (due <= now) run();
    return pending.size;
  };
}

const timers = () => process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length;

test('a receive of a capsule that is being stopped meanwhile ends with an empty envelope, and nothing of it is left', async (t) => {
  const { call, stop, waiters } = openReceive();
  const before = timers();
  const waiting = call();
  t.equal(waiters.size, 1);
  stop.abort();
  t.same(await waiting, EMPTY_ENVELOPE);
  t.equal(waiters.size, 0);
  t.equal(timers(), before);
});

test('a receive of a capsule that is being stopped already does not wait at all', async (t) => {
  const { call, stop, waiters } = openReceive();
  const before = timers();
  stop.abort();
  t.same(await call(), EMPTY_ENVELOPE);
  t.equal(waiters.size, 0);
  t.equal(timers(), before, 'no clock runs on for nobody');
});

test('a receive that would wait for longer than the longest, waits for that long', async (t) => {
  const pass = stopClock(t);
  for (const timeout of [LIMITS.ipcRecvWaitMsMax, LIMITS.ipcRecvWaitMsMax + 1, 999_999_999_999_999]) {
    const { callFor, waiters } = openReceive();
    const waiting = callFor(String(timeout));
    t.equal(pass(LIMITS.ipcRecvWaitMsMax - 1), 1, `${timeout} ms: it still waits`);
    t.equal(waiters.size, 1);
    t.equal(pass(1), 0, `${timeout} ms: it is over`);
    t.same(await waiting, EMPTY_ENVELOPE);
    t.equal(waiters.size, 0);
  }
  const { callFor } = openReceive();
  const waiting = callFor('5');
  t.equal(pass(5), 0, 'one that would wait for less, does so');
  t.same(await waiting, EMPTY_ENVELOPE);
});
