import { type Test, test } from 'tap';
import { Fault } from '../../abi/errno.js';
import type { Tier } from '../../abi/manifest.js';
import { SpareWorker } from '../../supervisor/proc/spare-worker.js';
import { spawnWorker, type WorkerProcess } from '../../supervisor/proc/spawn.js';
import { hostTools, WORKER_BUNDLE } from '../kit/worker-bench.js';

/** Real processes, whatever the tier that is asked for; a jail is told apart by its name alone. */
async function makeSpare(t: Test) {
  const tools = await hostTools;
  const started: WorkerProcess[] = [];
  const spare = new SpareWorker((tier: Tier) => {
    const worker = { ...spawnWorker('process', { tools, workerBundle: WORKER_BUNDLE }), tier };
    started.push(worker);
    return worker;
  });
  t.teardown(async () => {
    for (const worker of started) worker.kill('SIGKILL');
    await Promise.all(started.map(({ exited }) => exited));
  });
  return { spare, started };
}

test('spare worker, prepared, is taken once by whoever starts in its tier', async (t) => {
  const { spare, started } = await makeSpare(t);
  spare.prepare('process');
  const first = spare.take('process');
  t.equal(first.pid, started[0]?.pid);
  t.not(spare.take('process').pid, first.pid, 'nobody shares a process');
  t.equal(started.length, 2);
});

test('spare worker, of another tier than what starts, is left alone: nobody gets a weaker tier', async (t) => {
  const { spare, started } = await makeSpare(t);
  spare.prepare('process');
  t.equal(spare.take('jail').tier, 'jail');
  t.equal(started.length, 2);
});

test('spare worker, asked for again, stays; there is never a second one', async (t) => {
  const { spare, started } = await makeSpare(t);
  spare.prepare('process');
  spare.prepare('process');
  t.equal(started.length, 1);
  t.equal(spare.take('process').pid, started[0]?.pid);
});

test('spare worker, dropped or replaced, is killed; one that died is not handed out', async (t) => {
  const { spare, started } = await makeSpare(t);
  spare.prepare('jail');
  spare.prepare('process');
  t.match(await started[0]?.exited, { signal: 'SIGKILL' });
  spare.drop();
  t.match(await started[1]?.exited, { signal: 'SIGKILL' });
  spare.prepare('process');
  started[2]?.kill('SIGKILL');
  await started[2]?.exited;
  t.equal(spare.take('process').pid, started[3]?.pid);
});

test('spare worker, where no process can be started, is none, and who needs one is told', (t) => {
  const spare = new SpareWorker(() => {
    throw new Fault('tier_unavailable', 'no more processes');
  });
  spare.prepare('jail');
  t.throws(() => spare.take('jail'), { code: 'tier_unavailable' });
  t.end();
});
