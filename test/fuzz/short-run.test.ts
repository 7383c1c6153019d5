import { test } from 'tap';
import { TARGETS } from './table.js';

const SEED = 20_260_101;
/** Of one round of the long run. */
const SHARE = 0.05;

for (const [target, properties] of TARGETS) {
  for (const { name, runs, check } of properties) {
    test(`${target}, ${name}`, async (t) => {
      const { report } = await check(SEED, Math.max(10, Math.round(runs * SHARE)), () => undefined);
      t.equal(report, null);
    });
  }
}
