import { type Test, test } from 'tap';
import type { Fault } from '../../abi/errno.js';
import type { CapsuleManifest } from '../../abi/manifest.js';
import { FROM_WORKER } from '../../abi/worker-protocol.js';
import type { CapsuleStore } from '../../supervisor/capsule/store.js';
import { parseConfig } from '../../supervisor/config.js';
import type { ProcessHooks } from '../../supervisor/proc/capsule-spec.js';
import { ProcessTable } from '../../supervisor/process-table.js';
import { type FakeWorker, fakeWorker, settle } from '../kit/fake-worker.js';

const LOADED = [FROM_WORKER.loaded, { exports: ['run'] }];

/** A process table over workers that load, get ready and end when the test says so; what the store holds is a variable. */
function openTable(t: Test, hasRunLoop: boolean) {
  const workers: FakeWorker[] = [];
  const started: string[] = [];
  const installed = { version: '1.0.0' };
  const hooks: ProcessHooks = {
    spawn: () => {
      const made = fakeWorker();
      workers.push(made);
      return made.worker;
    },
    readModule: async () => Buffer.alloc(8),
    register: () => [],
    syscall: () => undefined,
    log: () => undefined,
    started: ({ spec }) => void started.push(spec.manifest.version),
    ended: () => undefined,
  };
  const store = {
    loadInstalled: async () => ({
      manifest: {
        name: 'ghost',
        version: installed.version,
        restart: 'always',
        limits: { memoryPages: 1, wallMs: 60_000 },
        capabilities: {},
        uplinks: [],
        tools: [],
        commands: [],
        interceptors: [],
      } as unknown as CapsuleManifest,
      hash: installed.version,
      generation: { generation: 3 },
      meta: { source: null, installed_at: '2026-01-01T00:00:00Z' },
      report: { entryPoints: hasRunLoop ? ['run'] : [] },
    }),
  };
  const table = new ProcessTable({
    store: store as unknown as CapsuleStore,
    config: parseConfig(''),
    hooks,
    builtins: new Map(),
    jailMissing: null,
    principal: 'default',
    socketPath: '',
    forget: () => undefined,
  });
  /** Goes through loading; a run loop says that it is ready. */
  const load = async (worker: FakeWorker | undefined) => {
    await settle();
    worker?.send(LOADED);
    await settle();
    if (hasRunLoop) worker?.send([FROM_WORKER.ready]);
  };
  const exit = async (worker: FakeWorker | undefined) => {
    worker?.exit({ code: null, signal: 'SIGTERM' });
    worker?.endChannel();
    await settle();
  };
  t.teardown(async () => {
    const stopping = table.stopAll();
    await settle();
    for (const worker of workers) await exit(worker);
    await stopping;
  });
  /** Installs a version and brings it up. */
  const bringUp = async () => {
    const replacing = table.replace('ghost');
    await settle();
    await load(workers.at(-1));
    await replacing;
  };
  return { table, workers, started, installed, load, exit, bringUp };
}

/** What became of it, or null while it is under way. */
function watch(work: Promise<unknown>) {
  const seen: { end: 'done' | Fault | null } = { end: null };
  work.then(
    () => {
      seen.end = 'done';
    },
    (fault: Fault) => {
      seen.end = fault;
    },
  );
  return seen;
}

for (const hasRunLoop of [true, false]) {
  const kind = hasRunLoop ? 'a run loop' : 'a capsule that answers';

  test(`${kind}, restarted and removed while it takes long to stop, does not start again`, async (t) => {
    const b = openTable(t, hasRunLoop);
    await b.bringUp();
    const restarting = watch(b.table.find('ghost').restart());
    await settle();
    const removing = watch(b.table.remove('ghost'));
    await settle();
    t.equal(removing.end, null);
    await b.exit(b.workers[0]);
    t.equal(removing.end, 'done');
    t.match(restarting.end, { code: 'cancelled' });
    t.same([b.workers.length, b.table.all().length], [1, 0], 'nothing was started beside the table');
  });

  test(`${kind}, held by somebody when it was removed, refuses every later start`, async (t) => {
    const b = openTable(t, hasRunLoop);
    await b.bringUp();
    const held = b.table.find('ghost');
    const removing = b.table.remove('ghost');
    await settle();
    await b.exit(b.workers[0]);
    await removing;
    await t.rejects(held.restart(), { code: 'cancelled' });
    await t.rejects(held.start(), { code: 'cancelled' });
    t.equal(b.workers.length, 1);
  });

  test(`${kind}, killed and removed before its process is gone, is not brought back by its restart policy`, async (t) => {
    const b = openTable(t, hasRunLoop);
    await b.bringUp();
    const process = b.table.find('ghost');
    process.end({ code: 'cancelled', message: 'killed' } as Fault, 'SIGTERM');
    const removing = b.table.remove('ghost');
    await settle();
    await b.exit(b.workers[0]);
    await removing;
    t.equal(process.state, 'stopped');
  });

  test(`${kind}, in the wait before a restart by its policy when it is removed, stays down`, async (t) => {
    const b = openTable(t, hasRunLoop);
    await b.bringUp();
    const process = b.table.find('ghost');
    await b.exit(b.workers[0]);
    t.equal(process.state, 'backoff');
    await b.table.remove('ghost');
    t.equal(process.state, 'stopped');
  });

  test(`${kind}, restarted twice while it takes long to stop, starts once and both are answered`, async (t) => {
    const b = openTable(t, hasRunLoop);
    await b.bringUp();
    const process = b.table.find('ghost');
    const first = watch(process.restart());
    const second = watch(process.restart());
    await settle();
    await b.exit(b.workers[0]);
    await b.load(b.workers[1]);
    await settle();
    t.same([first.end, second.end, b.workers.length], ['done', 'done', 2]);
  });

  test(`${kind}, restarted while the whole system stops, stays down, and nothing can be started after it`, async (t) => {
    const b = openTable(t, hasRunLoop);
    await b.bringUp();
    const restarting = watch(b.table.find('ghost').restart());
    await settle();
    const stopping = watch(b.table.stopAll());
    await settle();
    await b.exit(b.workers[0]);
    t.equal(stopping.end, 'done');
    t.match(restarting.end, { code: 'cancelled' });
    await t.rejects(b.table.replace('ghost'), { code: 'cancelled' });
    t.equal(b.workers.length, 1);
  });
}

test('a run loop, restarted and upgraded while it takes long to stop, runs once and in the new version', async (t) => {
  const b = openTable(t, true);
  await b.bringUp();
  const old = b.table.find('ghost');
  const restarting = watch(old.restart());
  await settle();
  b.installed.version = '2.0.0';
  const upgrading = watch(b.table.replace('ghost'));
  await settle();
  await b.exit(b.workers[0]);
  t.match(restarting.end, { code: 'cancelled' });
  await b.load(b.workers[1]);
  await settle();
  t.equal(upgrading.end, 'done');
  t.same([b.workers.length, b.started], [2, ['1.0.0', '2.0.0']]);
  await t.rejects(old.start(), { code: 'cancelled' });
});

test('an upgrade of a run loop that does not become ready, what ran before runs again under its name and can be restarted', async (t) => {
  const b = openTable(t, true);
  await b.bringUp();
  b.installed.version = '2.0.0';
  const upgrading = watch(b.table.replace('ghost'));
  await settle();
  await b.exit(b.workers[0]);
  await b.exit(b.workers[1]);
  await b.load(b.workers[2]);
  await settle();
  t.match(upgrading.end, { code: 'crashed' });
  t.same([b.table.find('ghost').toRow().version, b.table.find('ghost').state], ['1.0.0', 'running']);
  const restarting = watch(b.table.find('ghost').restart());
  await settle();
  await b.exit(b.workers[2]);
  await b.load(b.workers[3]);
  await settle();
  t.equal(restarting.end, 'done');
});

test('an upgrade that fails for a run loop that waits for its restart by policy, brings it back', async (t) => {
  const b = openTable(t, true);
  await b.bringUp();
  await b.exit(b.workers[0]);
  t.equal(b.table.find('ghost').state, 'backoff');
  b.installed.version = '2.0.0';
  const upgrading = watch(b.table.replace('ghost'));
  await settle();
  await b.exit(b.workers[1]);
  await b.load(b.workers[2]);
  await settle();
  t.match(upgrading.end, { code: 'crashed' });
  t.match(b.table.find('ghost').toRow(), { version: '1.0.0', state: 'running' });
});

test('a capsule that answers, restarted while its next version loads beside it, ends when that takes its place', async (t) => {
  const b = openTable(t, false);
  await b.bringUp();
  const old = b.table.find('ghost');
  b.installed.version = '2.0.0';
  const upgrading = watch(b.table.replace('ghost'));
  await settle();
  const restarting = watch(old.restart());
  await settle();
  await b.load(b.workers[1]);
  await settle();
  await b.exit(b.workers[0]);
  t.match(restarting.end, { code: 'cancelled' });
  t.equal(upgrading.end, 'done');
  t.same([b.workers.length, b.table.find('ghost').toRow().version], [2, '2.0.0']);
});

test('the next version of a capsule, loading beside the old one when the system stops, ends, too', async (t) => {
  const b = openTable(t, false);
  await b.bringUp();
  b.installed.version = '2.0.0';
  const upgrading = watch(b.table.replace('ghost'));
  await settle();
  const stopping = watch(b.table.stopAll());
  await settle();
  t.same(b.workers[1]?.signals, ['SIGTERM']);
  await b.exit(b.workers[0]);
  await b.exit(b.workers[1]);
  t.match([stopping.end, upgrading.end], ['done', { code: 'cancelled' }]);
});

test('a run loop that says that it is ready after it was told to stop, does not count as started', async (t) => {
  const b = openTable(t, true);
  const starting = watch(b.table.replace('ghost'));
  await settle();
  b.workers[0]?.send(LOADED);
  await settle();
  const process = b.table.find('ghost');
  process.setWaiting(process.running!, 'ipc_recv x');
  const removing = watch(b.table.remove('ghost'));
  await settle();
  b.workers[0]?.send([FROM_WORKER.ready]);
  await settle();
  t.same([starting.end, b.started], [null, []]);
  b.workers[0]?.exit({ code: null, signal: 'SIGTERM' });
  b.workers[0]?.endChannel();
  await settle();
  t.same([removing.end, b.started], ['done', []]);
  t.match(starting.end, { message: 'the process was ended by SIGTERM' });
});
