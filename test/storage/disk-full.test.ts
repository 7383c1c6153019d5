import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'tap';
import { Fault } from '../../abi/errno.js';
import { KvStore } from '../../supervisor/storage/kv.js';
import { openStore } from '../../supervisor/storage/store.js';
import { fillDisk, mountSmallDisk, NO_SMALL_DISK } from '../kit/small-disk.js';

const skip = NO_SMALL_DISK;

async function codeOf(work: Promise<unknown>): Promise<string> {
  return work.then(
    () => 'ok',
    (thrown) => (thrown instanceof Fault ? thrown.code : String(thrown)),
  );
}

test('a disk that fills up, refuses writes with no_space, keeps what it has, and takes writes again later', {
  skip,
}, async (t) => {
  const disk = mountSmallDisk(t, 'size=2m');
  const unhandled: unknown[] = [];
  const note = (reason: unknown) => unhandled.push(reason);
  process.on('unhandledRejection', note);
  t.teardown(() => process.off('unhandledRejection', note));
  const store = openStore(join(disk, 'state'));
  const kv = new KvStore(store);
  const kept: number[] = [];
  const codes = new Set<string>();
  for (let at = 0; at < 60; at++) {
    const code = await codeOf(kv.set('ann', 'fs', `key${at}`, Buffer.alloc(50_000, at)));
    if (code === 'ok') kept.push(at);
    else codes.add(code);
  }
  t.same([...codes], ['no_space']);
  t.ok(kept.length > 5 && kept.length < 60, `${kept.length} fitted`);
  for (let at = 0; at < 60; at++) {
    const value = kv.get('ann', 'fs', `key${at}`);
    if (kept.includes(at)) t.ok(value?.equals(Buffer.alloc(50_000, at)), `key${at} is whole`);
    else t.equal(value, null, `key${at} left nothing`);
  }
  t.equal(
    kv.usage('ann'),
    (await kv.list('ann', 'fs', '')).reduce((sum, key) => sum + 7 + key.length + 50_000, 0),
  );

  t.equal(await codeOf(kv.delete('ann', 'fs', `key${kept[0]}`)), 'ok', 'a delete frees');
  t.equal(await codeOf(kv.delete('ann', 'fs', `key${kept[1]}`)), 'ok');
  const mixed = [100, 900_000, 100, 100].map((size, at) =>
    codeOf(kv.set('ann', 'fs', `mixed${at}`, Buffer.alloc(size))),
  );
  t.same(
    await Promise.all(mixed),
    ['ok', 'no_space', 'ok', 'ok'],
    'one that is too large does not take the rest along',
  );
  t.equal(kv.get('ann', 'fs', 'mixed1'), null);
  await store.close();

  const again = openStore(join(disk, 'state'));
  const reread = new KvStore(again);
  t.ok(reread.get('ann', 'fs', `key${kept[2]}`)?.equals(Buffer.alloc(50_000, kept[2])), 'whole after reopening');
  t.equal(reread.get('ann', 'fs', 'mixed3')?.length, 100);
  await again.close();
  t.same(unhandled, [], 'no rejection goes unheard');
});

test('a full disk, when the store is first made, is a fault and not the end of the process', { skip }, async (t) => {
  const disk = mountSmallDisk(t, 'size=2m');
  fillDisk(join(disk, 'fill'));
  for (const state of ['state', 'other']) {
    let code = 'opened';
    try {
      await openStore(join(disk, state)).close();
    } catch (thrown) {
      code = thrown instanceof Fault ? thrown.code : String(thrown);
    }
    t.equal(code, 'no_space');
  }
  rmSync(join(disk, 'fill'));
  const store = openStore(join(disk, 'state'));
  t.equal(await codeOf(store.write(() => store.records('meta').put('a', 1))), 'ok', 'works once there is room');
  await store.close();
});

test('a full disk, when the store is there already, still opens and reads', { skip }, async (t) => {
  const disk = mountSmallDisk(t, 'size=2m');
  const store = openStore(join(disk, 'state'));
  await store.write(() => store.records('meta').put('a', 1));
  await store.close();
  fillDisk(join(disk, 'fill'));
  const again = openStore(join(disk, 'state'));
  t.equal(again.records('meta').get('a'), 1);
  const large = Array.from({ length: 200 }, (_, at) =>
    codeOf(again.write(() => again.records('meta').put(`k${at}`, 'x'.repeat(4000)))),
  );
  t.ok((await Promise.all(large)).includes('no_space'));
  await again.close();
});
