import { test } from 'tap';
import { jailMissing } from '../kit/worker-bench.js';
import { callerOf, makeBench, request } from './kit.js';

const skip = await jailMissing();

test('commands that are killed before their sandbox heard `go`, nothing of it reaches the supervisor', {
  skip,
}, async (t) => {
  const bench = await makeBench(t);
  for (let round = 0; round < 6; round++) {
    const sourceId = `early-${round}`;
    const started = Array.from({ length: 8 }, () =>
      bench.processes.start(request('sleep 600'), callerOf({ sourceId })),
    );
    await Promise.race(started);
    bench.processes.release(sourceId);
    await Promise.allSettled(started);
  }
  t.pass('no uncaught error');
});
