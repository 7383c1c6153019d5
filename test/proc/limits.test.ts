import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Test, test } from 'tap';
import type { Fault } from '../../abi/errno.js';
import { LIMITS } from '../../abi/limits.js';
import { parseManifest } from '../../supervisor/capsule/manifest-loader.js';
import { CapsuleProcess } from '../../supervisor/proc/capsule-process.js';
import { spawnWorker } from '../../supervisor/proc/spawn.js';
import { type GuestOptions, makeGuest } from '../kit/guests.js';
import { hostTools, WORKER_BUNDLE } from '../kit/worker-bench.js';

const TWO_MINUTES = LIMITS.runLoopWatchdogMs;
const SIGNAL_READY = { astrid_signal_ready: { params: 0, result: true } };

/** Resolves at the next of something that happens again and again. */
function nextOf<T>() {
  let tell: (value: T) => void = () => undefined;
  return { next: () => new Promise<T>((resolve) => (tell = resolve)), tell: (value: T) => tell(value) };
}

/** A capsule with a real worker in tier process, and what its kernel hears of it. A start takes the next bundle; the last one stays. */
async function makeCapsule(t: Test, options: GuestOptions, bundles: readonly string[] = [WORKER_BUNDLE]) {
  const { manifest, wasm } = await makeGuest({ manifest: '', ...options });
  const tools = await hostTools;
  const ended = nextOf<Fault>();
  const started = nextOf<boolean>();
  const called = nextOf<string>();
  let starts = 0;
  const capsule = new CapsuleProcess(
    {
      manifest: parseManifest(manifest),
      hash: '',
      install: '',
      tier: 'process',
      generation: 3,
      hasRunLoop: options.exports?.['run'] !== undefined,
      principal: 'default',
      config: {},
    },
    {
      spawn: (tier) => {
        const workerBundle = bundles[Math.min(starts++, bundles.length - 1)]!;
        return spawnWorker(tier, { tools, workerBundle });
      },
      readModule: async () => Buffer.from(wasm),
      register: () => [],
      // Nothing is answered: whoever calls, waits.
      syscall: (_process, { name }) => called.tell(name),
      log: () => undefined,
      started: (_process, restart) => started.tell(restart),
      ended: (_process, why) => ended.tell(why),
    },
  );
  t.teardown(() => capsule.stop());
  return { capsule, ended, started, called };
}

/** Whether it still does what it is for: one that was told to end may look well for a moment. */
async function answers(capsule: CapsuleProcess): Promise<boolean> {
  const outcome = await capsule.submit({
    exportName: 'astrid_hook_trigger',
    input: Buffer.alloc(0),
    actor: { principal: 'default', attribution: 'system', session: null },
    message: null,
    label: 'test',
    wallMs: null,
  });
  return outcome.kind === 'done';
}

/** The worker as it ships, which holds more memory than any small capsule may: what one that was taken over could do. */
async function makeHoarder(t: Test): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'astrid-limits-'));
  t.teardown(() => rm(directory, { recursive: true }));
  const bundle = join(directory, 'hoarder.mjs');
  const held = `globalThis.held = Buffer.alloc(${LIMITS.processMemoryAllowanceBytes + 2 ** 20}, 1);\n`;
  await writeFile(bundle, held + readFileSync(WORKER_BUNDLE, 'utf8'));
  return bundle;
}

test('a worker over its memory is killed, comes back by its policy, and its neighbour stays', async (t) => {
  const small = '\n[limits]\nmemory_pages = 2\n';
  const hoards = await makeCapsule(t, { name: 'hoards', manifest: small }, [await makeHoarder(t), WORKER_BUNDLE]);
  const modest = await makeCapsule(t, { name: 'modest', manifest: small });
  await Promise.all([hoards.capsule.start(), modest.capsule.start()]);
  const most = 2 * 65_536 + LIMITS.processMemoryAllowanceBytes;
  t.equal(hoards.capsule.memoryBytesMax, most);
  const { memoryBytes } = hoards.capsule.toRow();
  const over = hoards.ended.next();
  const back = hoards.started.next();
  for (const { capsule } of [hoards, modest]) capsule.checkLimits(performance.now());
  t.match(await over, { code: 'out_of_memory', message: `the limit is ${most}` });
  t.ok(memoryBytes > most, `${memoryBytes} bytes were held`);
  t.match(hoards.capsule.toRow(), { pid: null, state: 'backoff', restarts: 1 });
  t.equal(await answers(modest.capsule), true);
  t.equal(await back, true, 'a restart');
  hoards.capsule.checkLimits(performance.now());
  t.equal(await answers(hoards.capsule), true, 'one within its memory is left alone');
});

test('a run loop that makes no host call for two minutes is killed, and not before', async (t) => {
  const run = '(drop (call $astrid_signal_ready)) (loop $spin (br $spin)) (i32.const 0)';
  const spins = await makeCapsule(t, { name: 'spins', restart: 'never', calls: SIGNAL_READY, exports: { run } });
  const modest = await makeCapsule(t, { name: 'modest' });
  await modest.capsule.start();
  // Last: from its only host call on it is silent, and it takes a whole processor.
  await spins.capsule.start();
  const over = spins.ended.next();
  const now = performance.now();
  // One that ended it here would give 0 s as its reason.
  spins.capsule.checkLimits(now);
  for (const { capsule } of [spins, modest]) capsule.checkLimits(now + TWO_MINUTES + 1);
  t.match(await over, { code: 'timed_out', message: /no host call for 1[2-9]\d s/ });
  t.equal(spins.capsule.state, 'stopped', 'its policy is never');
  t.equal(await answers(modest.capsule), true, 'one without a run loop may be silent');
});

test('a run loop that waits in a host call may do so for longer', async (t) => {
  const run = `(drop (call $astrid_signal_ready))
    (drop (call $astrid_ipc_recv (call $block (i32.const 64) (i32.const 1)) (call $block (i32.const 65) (i32.const 5))))
    (i32.const 0)`;
  const calls = { ...SIGNAL_READY, astrid_ipc_recv: { params: 2, result: true } };
  const waits = await makeCapsule(t, { name: 'waits', calls, data: { 64: '160000' }, exports: { run } });
  const called = waits.called.next();
  await waits.capsule.start();
  t.equal(await called, 'astrid_ipc_recv');
  waits.capsule.setWaiting(waits.capsule.running!, 'ipc_recv a.v1.b');
  const over = waits.ended.next();
  // The reason of an end is the first one that was given: this one would speak of twenty minutes.
  waits.capsule.checkLimits(performance.now() + 10 * TWO_MINUTES);
  t.equal(waits.capsule.state, 'waiting');
  waits.capsule.setWaiting(waits.capsule.running!, '');
  waits.capsule.checkLimits(performance.now() + TWO_MINUTES + 1);
  t.match(await over, { code: 'timed_out', message: /for 1[2-9]\d s/ }, 'once it waits no more, it counts as silent');
});
