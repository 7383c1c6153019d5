import { setImmediate as nextTurn } from 'node:timers/promises';
import { test } from 'tap';
import type { Fault } from '../../abi/errno.js';
import type { CapsuleManifest } from '../../abi/manifest.js';
import { FROM_WORKER } from '../../abi/worker-protocol.js';
import { CapsuleProcess } from '../../supervisor/proc/capsule-process.js';
import type { CapsuleSpec, ProcessHooks } from '../../supervisor/proc/capsule-spec.js';
import { type FakeWorker, fakeWorker, settle } from '../kit/fake-worker.js';

function setUp(hasRunLoop: boolean, more: Partial<ProcessHooks> = {}) {
  const workers: FakeWorker[] = [];
  const manifest = {
    name: 'looper',
    version: '1.0.0',
    restart: 'on-failure',
    limits: { memoryPages: 1, wallMs: 60_000 },
  } as CapsuleManifest;
  const spec: CapsuleSpec = {
    manifest,
    hash: '',
    install: '',
    tier: 'jail',
    generation: 3,
    hasRunLoop,
    principal: 'default',
    config: {},
  };
  const ended: string[] = [];
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
    started: () => undefined,
    ended: (_process, why) => void ended.push(why.message),
    ...more,
  };
  return { process: new CapsuleProcess(spec, hooks), workers, ended };
}

/** Everything that would have ended the kernel while `work` ran. */
async function gatherFatal(work: () => Promise<void>): Promise<string[]> {
  const fatal: string[] = [];
  const note = (error: unknown) => fatal.push(error instanceof Error ? error.message : String(error));
  const before = process.listeners('uncaughtException');
  process.removeAllListeners('uncaughtException');
  process.on('uncaughtException', note);
  process.on('unhandledRejection', note);
  try {
    await work();
    await settle();
  } finally {
    process.off('unhandledRejection', note);
    process.off('uncaughtException', note);
    for (const listener of before) process.on('uncaughtException', listener);
  }
  return fatal;
}

const LOADED = [FROM_WORKER.loaded, { exports: ['run'] }];

test('a parked call whose process exits before its channel ends, nothing escapes to the kernel', async (t) => {
  const fatal = await gatherFatal(async () => {
    const { process: capsule, workers } = setUp(true, {
      syscall: (process, _call, _args, reply) => {
        const running = process.running!;
        process.setWaiting(running, 'ipc_recv x');
        running.cancel.signal.addEventListener('abort', () => {
          process.setWaiting(running, '');
          reply(Buffer.alloc(0));
        });
      },
    });
    const starting = capsule.start();
    await settle();
    const [first] = workers;
    first?.send(LOADED);
    await settle();
    first?.send([FROM_WORKER.ready]);
    await starting;
    first?.send([FROM_WORKER.call, 1, 11, Buffer.from('1'), Buffer.from('60000')]);
    await settle();
    t.equal(capsule.state, 'waiting');
    first?.exit({ code: null, signal: 'SIGKILL' });
    await settle();
    first?.endChannel();
    await settle();
    await capsule.stop();
  });
  t.same(fatal, []);
});

test('a restart whose old channel ends after the new start, the new worker is left alone', async (t) => {
  const fatal = await gatherFatal(async () => {
    const { process: capsule, workers } = setUp(true);
    const starting = capsule.start();
    await settle();
    workers[0]?.send(LOADED);
    await settle();
    workers[0]?.send([FROM_WORKER.ready]);
    await starting;
    const restarting = capsule.restart();
    restarting.catch(() => undefined);
    await settle();
    workers[0]?.exit({ code: null, signal: 'SIGTERM' });
    await settle();
    t.equal(workers.length, 2);
    workers[0]?.endChannel();
    await settle();
    t.same(workers[1]?.signals, []);
    workers[1]?.exit({ code: null, signal: 'SIGKILL' });
    workers[1]?.endChannel();
    await settle();
    await capsule.stop();
  });
  t.same(fatal, []);
});

test('a worker that exits while it loads, the reason given is its exit and not a mistake of ours', async (t) => {
  const { process: capsule, workers } = setUp(false);
  const starting = capsule.start();
  const failed = starting.then(
    () => null,
    (fault: Fault) => fault,
  );
  await settle();
  workers[0]?.exit({ code: 139, signal: null });
  await settle();
  workers[0]?.endChannel();
  t.match(await failed, { code: 'crashed', message: /exit code 139/ });
  await capsule.stop();
});

test('a run loop that is stopped while its load report is on the way, nothing escapes to the kernel', async (t) => {
  const fatal = await gatherFatal(async () => {
    const { process: capsule, workers } = setUp(true);
    capsule.start().catch(() => undefined);
    await settle();
    const stopping = capsule.stop();
    workers[0]?.send(LOADED);
    await settle();
    workers[0]?.endChannel();
    workers[0]?.exit({ code: null, signal: 'SIGTERM' });
    await stopping;
  });
  t.same(fatal, []);
});

test('an end that cannot be logged, the capsule still stops and nothing escapes to the kernel', async (t) => {
  const fatal = await gatherFatal(async () => {
    const { process: capsule, workers } = setUp(false, {
      ended: () => {
        throw new Error('the audit takes no more');
      },
    });
    const starting = capsule.start();
    await settle();
    workers[0]?.send(LOADED);
    await starting;
    const stopping = capsule.stop().then(() => 'stopped');
    workers[0]?.endChannel();
    workers[0]?.exit({ code: 0, signal: null });
    await settle();
    t.equal(await Promise.race([stopping, nextTurn('still stopping')]), 'stopped');
  });
  t.same(fatal, []);
});

test('invocations of a chain or a hook, submitted to a capsule that is busy, are refused beyond the bound of its queue', async (t) => {
  const { process: capsule, workers } = setUp(false);
  const starting = capsule.start();
  await settle();
  workers[0]?.send(LOADED);
  await starting;
  const actor = { principal: 'default', attribution: 'system', session: null } as const;
  for (let count = 0; count < 2000; count++) {
    void capsule.submit({
      exportName: 'astrid_hook_trigger',
      input: Buffer.alloc(0),
      actor,
      message: null,
      label: 'hook',
      wallMs: 60_000,
    });
  }
  t.ok(capsule.queue.size <= 256, `${capsule.queue.size} wait`);
  workers[0]?.endChannel();
  workers[0]?.exit({ code: 0, signal: null });
  await settle();
  await capsule.stop();
});
