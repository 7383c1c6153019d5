import { test } from 'tap';
import { SYSCALLS } from '../../abi/table.js';
import { EXTISM_ENV } from '../../abi/wasm/extism-env.js';
import { makeHandlers } from '../../supervisor/syscalls/handlers.js';
import { makeExtismEnv } from '../../worker/extism-env.js';
import { GuestBlocks } from '../../worker/guest-blocks.js';
import { makeLocalCalls } from '../../worker/local-calls.js';

const nothing = {} as never;

test('exactly the calls that the table says are served have a handler, on the side the table says', (t) => {
  const handlers = makeHandlers({
    files: nothing,
    bus: nothing,
    hooks: nothing,
    kv: nothing,
    people: nothing,
    lifecycle: nothing,
    timers: nothing,
  });
  const local = makeLocalCalls(
    { handles: [], logLevel: 'info', config: {}, generation: 3 } as never,
    nothing,
    nothing,
    Date.now,
  );
  const served = SYSCALLS.filter(({ since }) => since !== null);
  const inSupervisor = served.filter(({ path }) => path === 'supervisor').map(({ name }) => name);
  const inWorker = served.filter(({ path }) => path !== 'supervisor').map(({ name }) => name);
  t.same(Object.keys(handlers).sort(), inSupervisor.sort());
  t.same(Object.keys(local).sort(), inWorker.sort());
  t.end();
});

test('every Extism kernel function that inspection accepts is there for the guest', (t) => {
  const env = makeExtismEnv(
    new GuestBlocks(65_536, () => 0),
    65_536,
    { output: Buffer.alloc(0), error: null },
    () => undefined,
  );
  t.same(
    [...EXTISM_ENV.keys()].filter((name) => typeof env[name] !== 'function'),
    [],
  );
  t.end();
});
