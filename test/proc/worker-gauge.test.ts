import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { test } from 'tap';
import { WorkerGauge } from '../../supervisor/proc/worker-gauge.js';
import { useUpDescriptors } from '../kit/short-of.js';

test('what a memory limit is held against, is the innermost process, also when it could not be told at first', async (t) => {
  const outer = spawn('sh', ['-c', 'sleep 1000 & echo $!; wait'], {
    stdio: ['ignore', 'pipe', 'ignore'],
    detached: true,
  });
  const ended = once(outer, 'exit');
  t.teardown(async () => {
    process.kill(-outer.pid!, 'SIGKILL');
    await ended;
  });
  const [line] = (await once(outer.stdout, 'data')) as [Buffer];
  const inner = Number(line.toString());
  const gauge = new WorkerGauge();
  t.same([gauge.isOn, gauge.read()], [false, null]);
  const giveBack = await useUpDescriptors();
  gauge.turnOn(outer.pid!);
  const seen = [gauge.isOn, gauge.pid, gauge.read()];
  await giveBack();
  t.same(seen, [true, null, null], 'not the outer one, whose memory is another');
  t.ok((gauge.read()?.rssBytes ?? 0) > 0);
  t.equal(gauge.pid, inner);
  t.match(readFileSync(`/proc/${gauge.pid}/comm`, 'utf8'), /^sleep/);
  gauge.turnOff();
  t.same([gauge.isOn, gauge.pid, gauge.read()], [false, null, null]);
});
