import { setImmediate } from 'node:timers/promises';
import { test } from 'tap';
import { useUpDescriptors } from '../kit/short-of.js';
import { casesOf, fault, OK_ANY, text, type Want } from './case.js';
import { GOOD_CASE } from './every-call.js';
import { HARDSHIPS, type LogState } from './hardships.js';
import { type Lane, openBench } from './kernel-bench.js';
import { CASES } from './registry.js';

test('on a machine that refuses, each call says so with its code, and works again when the machine does', async (t) => {
  // What refuses is under the kernel, in every tier the same.
  const bench = await openBench(['process']);
  t.teardown(() => bench.end());
  t.same(bench.kernel.problems, []);
  for (const { name, befall, cases } of HARDSHIPS) {
    for (const lane of bench.lanes) {
      const mend = await befall(bench.home, stateOf(lane));
      const verdicts: (string | null)[] = [];
      for (const one of cases) verdicts.push(await lane.run(one));
      await mend();
      for (const [at, { call }] of cases.entries())
        t.equal(verdicts[at], null, `${name}, generation ${lane.generation}: ${call}`);
    }
  }
  const hit = new Set(HARDSHIPS.flatMap(({ cases }) => cases.map(({ call }) => call)));
  for (const call of hit) {
    const good = CASES.get(call)!.find((one) => one.name === GOOD_CASE)!;
    for (const lane of bench.lanes) t.equal(await lane.run(good), null, `${call}, afterwards`);
  }
  // What the operator has to know.
  t.same(
    bench.log.filter((line) => !line.includes('"code":"io_error"')),
    [],
    'the kernel met no mistake of its own',
  );
});

test('a capsule whose process ends while no descriptor is left, waits for one, and the kernel stays up', async (t) => {
  const bench = await openBench(['process'], { lanes: [3] });
  t.teardown(() => bench.end());
  const process = bench.processOf('full-process-3');
  const free = await useUpDescriptors();
  await process.restart().catch(() => undefined);
  t.equal(process.toRow().state, 'backoff');
  await free();
  while (process.toRow().state !== 'ready') await setImmediate();
  const [lane] = bench.lanes;
  t.equal(await lane!.run(CASES.get('astrid_read_file')![0]!), null, 'it works again');
});

/** By an action that is logged before it happens, tried until it comes out as wanted: the kernel tries its checkpoint by itself. */
function stateOf(lane: Lane): LogState {
  const probe = (want: Want) => casesOf('astrid_fs_mkdir', [{ name: 'probe', args: [text('cwd://probe')], want }])[0]!;
  const wanted = { open: probe(OK_ANY), refusing: probe(fault('audit_unavailable')) };
  return {
    until: async (state) => {
      while ((await lane.run(wanted[state])) !== null) await setImmediate();
    },
  };
}
