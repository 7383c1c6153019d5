import { test } from 'tap';
import { jailMissing } from '../kit/worker-bench.js';
import { isAlone } from './case.js';
import { openBench } from './kernel-bench.js';
import { servedCases } from './registry.js';

// Six lanes of cases, with restarts between some: three to four minutes where other tests share the cores.

test('every served call, in every tier and generation, answers as the reference says', async (t) => {
  const noJail = await jailMissing();
  // Half of the suite: told among what was skipped, at the end of the run.
  if (noJail !== false) t.pass('tier jail', { skip: noJail });
  const bench = await openBench(noJail === false ? ['process', 'jail'] : ['process']);
  t.teardown(() => bench.end());
  t.same(bench.kernel.problems, [], 'every guest starts');
  for (const [call, cases] of servedCases()) {
    await t.test(call, async (t) => {
      const verdicts = await Promise.all(bench.lanes.map((lane) => runAll(lane, cases)));
      for (const [at, lane] of bench.lanes.entries()) {
        for (const [index, one] of cases.entries()) if (isAlone(one)) verdicts[at]![index] = await lane.run(one);
      }
      for (const [index, { name }] of cases.entries()) {
        t.same(
          verdicts.map((lane) => lane[index]).filter((verdict) => verdict !== null),
          [],
          name,
        );
      }
    });
  }
  t.same(bench.log, [], 'the kernel met no mistake of its own');
});

type Lane = Awaited<ReturnType<typeof openBench>>['lanes'][number];

async function runAll(lane: Lane, cases: readonly Parameters<Lane['run']>[0][]): Promise<(string | null)[]> {
  const verdicts: (string | null)[] = [];
  for (const one of cases) {
    const verdict = isAlone(one) ? null : await lane.run(one);
    verdicts.push(verdict === null ? null : `${lane.tier}, generation ${lane.generation}: ${verdict}`);
  }
  return verdicts;
}
