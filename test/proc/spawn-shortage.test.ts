import { readdirSync } from 'node:fs';
import { test } from 'tap';
import { asFault } from '../../abi/errno.js';
import { spawnWorker } from '../../supervisor/proc/spawn.js';
import { leaveDescriptors } from '../kit/short-of.js';
import { hostTools, WORKER_BUNDLE } from '../kit/worker-bench.js';

const countOpen = () => readdirSync('/proc/self/fd').length;
/** More than a start takes. */
const FREE_MAX = 14;

test('a worker that descriptors run out for in the middle of its start, takes none of them along', async (t) => {
  const program = { tools: await hostTools, workerBundle: WORKER_BUNDLE };
  const tryOnce = async (free: number) => {
    const giveBack = await leaveDescriptors(free);
    try {
      const worker = spawnWorker('process', program);
      worker.kill('SIGKILL');
      await worker.exited;
      for (const stream of [worker.channel.input, worker.channel.output, worker.stderr]) stream.destroy();
      return 'started';
    } catch (error) {
      return asFault(error).code;
    } finally {
      await giveBack();
    }
  };
  await tryOnce(FREE_MAX);
  const before = countOpen();
  const outcomes: string[] = [];
  for (let free = 0; free <= FREE_MAX; free++) outcomes.push(await tryOnce(free));
  await new Promise((resolve) => setImmediate(resolve));
  t.equal(outcomes[0], 'io_error');
  t.ok(
    outcomes.every((one) => one === 'io_error' || one === 'started'),
    outcomes.join(' '),
  );
  t.equal(countOpen(), before);
});
