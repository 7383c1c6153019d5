import { readdirSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'tap';
import { ensureSupervisor } from '../../cli/daemon.js';
import { PACKAGE_ROOT } from '../kit/package-root.js';
import { runCli } from '../kit/run-cli.js';
import { fillDisk, mountSmallDisk, NO_SMALL_DISK } from '../kit/small-disk.js';

const supervisorMain = join(PACKAGE_ROOT, 'dist/supervisor/main.bundle.mjs');

test('a supervisor whose home is on a full disk does not start, says no_space, and starts when there is room', {
  skip: NO_SMALL_DISK,
}, async (t) => {
  const disk = mountSmallDisk(t, 'size=96m');
  const home = join(disk, 'home');
  const ballast = join(disk, 'ballast');
  t.teardown(() => runCli(['stop'], home));
  const start = async () => {
    const client = await ensureSupervisor(home, { supervisorMain });
    client.close();
  };

  fillDisk(ballast);
  await t.rejects(start(), { code: 'no_space', message: /disk/ }, 'a home that was never used');
  t.same(
    readdirSync(join(home, 'var')).filter((name) => name.endsWith('.new')),
    [],
    'nothing half-written is left',
  );
  unlinkSync(ballast);
  await start();
  await runCli(['stop'], home);

  fillDisk(ballast);
  await t.rejects(start(), { code: 'no_space', message: /disk/ }, 'one with a log');
  unlinkSync(ballast);
  await start();
  await runCli(['stop'], home);
  t.match(await runCli(['audit', 'verify'], home), { exitCode: 0, err: '' }, 'the log is whole');
});
