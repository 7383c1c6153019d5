import { test } from 'tap';
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
  return { call, stop, waiters };
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
