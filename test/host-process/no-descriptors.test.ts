import { test } from 'tap';
import { asFault } from '../../abi/errno.js';
import { useUpDescriptors } from '../kit/short-of.js';
import { jailMissing } from '../kit/worker-bench.js';
import { makeBench } from './kit.js';

test('a command that no descriptor is left for, is refused with io_error, leaves no layer, and runs later', {
  skip: await jailMissing(),
}, async (t) => {
  const bench = await makeBench(t, { a: 'hello' });
  t.equal(await bench.fate('cat', 'a'), 0);
  const free = await useUpDescriptors();
  const run = await bench.fate('cat', 'a');
  const started = await bench.start('cat', 'a').catch((error: unknown) => asFault(error).code);
  await free();
  t.same({ run, started }, { run: 'io_error', started: 'io_error' });
  t.equal(await bench.fate('cat', 'a'), 0);
});
