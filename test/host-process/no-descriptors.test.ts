import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'tap';
import { asFault } from '../../abi/errno.js';
import { NamespaceInit } from '../../supervisor/host-process/namespace-init.js';
import { CommandLayer } from '../../supervisor/vfs/command-layer.js';
import { rollbackOverlay } from '../../supervisor/vfs/rollback.js';
import { useUpDescriptors } from '../kit/short-of.js';
import { jailMissing } from '../kit/worker-bench.js';
import { openSession } from '../vfs/session-fixture.js';
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

test('a process whose state cannot be read, counts as running and is not signalled, and is killed once it can be read', async (t) => {
  const child = spawn('sleep', ['1000']);
  const ended = once(child, 'exit');
  t.teardown(() => child.kill('SIGKILL'));
  const known = new NamespaceInit(child.pid!);
  const giveBack = await useUpDescriptors();
  const late = new NamespaceInit(child.pid!);
  const seen = [known.isGone(), known.signal('SIGKILL'), late.isGone(), late.signal('SIGKILL')];
  await giveBack();
  t.same(seen, [false, false, false, false]);
  t.equal(late.signal('SIGKILL'), false, 'one whose start was not seen may be another by now');
  t.equal(known.signal('SIGKILL'), true);
  await ended;
  t.equal(known.isGone(), true);
  t.equal(late.isGone(), true);
});

test('what a command wrote, taken over, rolled back, and left behind for want of a descriptor, does not come back', async (t) => {
  const { files, guest, options } = await openSession(t, { a: '1' });
  const layer = await CommandLayer.make(options.stateDir, files.overlay);
  await layer.markStart();
  writeFileSync(join(layer.dir, 'upper/new.txt'), 'written by a command');
  await layer.adopt(null);
  t.equal(await guest.exists('new.txt'), true);
  await rollbackOverlay(files.overlay);
  const giveBack = await useUpDescriptors();
  const removed = await layer.remove().then(
    () => 'removed',
    () => 'left',
  );
  await giveBack();
  t.equal(removed, 'left');
  await CommandLayer.recover(options.stateDir, files.overlay);
  t.same(await guest.tree(), { a: '1' });
});
