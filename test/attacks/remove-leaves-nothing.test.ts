import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'tap';
import { LIMITS } from '../../abi/limits.js';
import { timerKey } from '../../supervisor/cron/timer-record.js';
import { LogBook } from '../../supervisor/log-book.js';
import { KvStore } from '../../supervisor/storage/kv.js';
import { openStore, type Store } from '../../supervisor/storage/store.js';
import { startSupervisor } from '../kit/real-supervisor.js';
import { installOffer, makeOffer, planOf, WAIT } from '../store/kit.js';

test('a setting of a removed capsule, read by the next capsule of that name, is gone', async (t) => {
  const supervisor = await startSupervisor();
  t.teardown(supervisor.end);
  const client = await supervisor.connect();
  t.teardown(() => client.close());
  const offer = await makeOffer({ name: 'demo', manifest: '[env]\nendpoint = { type = "string" }' });
  await installOffer(client, offer);
  await client.request('capsule.config', { capsule: 'demo', set: { endpoint: 'https://key@host' } });
  await client.request('restart', { target: 'demo' }, WAIT);
  await client.request('capsule.remove', { name: 'demo' }, WAIT);
  await installOffer(client, { ...offer, source: 'dir:/elsewhere' });
  t.match(await client.request('capsule.config', { capsule: 'demo' }), [{ value: null, source: 'unset' }]);
});

test('a capsule that logs the longest lines, the kernel keeps a bounded part of them in memory', (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'astrid-'));
  let now = 0;
  const book = new LogBook(directory, () => now);
  const line = 'x'.repeat(LIMITS.logMessageBytesMax);
  for (let count = 0; count < 200; count++) {
    now += 100;
    book.write('loud', 'info', line);
  }
  book.write('loud', 'info', 'the last');
  const rows = book.tail('loud', 10_000);
  t.ok(rows.reduce((sum, { message }) => sum + message.length, 0) <= LIMITS.logCharsKeptPerCapsule);
  t.equal(rows.at(-1)?.message, 'the last');
  return book.close().then(() => rmSync(directory, { recursive: true, force: true }));
});

test('what a capsule kept for other people, when it is removed: no timer stays, and the plan of the next one counts their values until a purge', async (t) => {
  const first = await startSupervisor();
  t.teardown(first.end);
  const offer = await makeOffer({ name: 'demo' });
  const before = await first.connect();
  await installOffer(before, offer);
  before.close();
  await first.kill('SIGTERM');
  // What it did for a person whose account is linked; what one left that was removed by a version that forgot them; and another's.
  const within = async <T>(work: (store: Store, kv: KvStore) => Promise<T>): Promise<T> => {
    const store = openStore(join(first.home, 'var/state'));
    try {
      return await work(store, new KvStore(store));
    } finally {
      await store.close();
    }
  };
  const timer = (capsule: string) => ({ principal: 'alice', capsule, name: 'x' });
  await within(async (store, kv) => {
    for (const capsule of ['demo', 'left', 'other']) {
      for (const key of ['a', 'b']) await kv.set('alice', capsule, key, Buffer.from('of the old one'));
      const times = { createdAt: 1, nextAt: 9e12, lastAt: null, pendingAt: null };
      const what = { schedule: '@yearly', timezone: null, missed: 'once', source: 'call', action: 'x', payload: '' };
      const record = { ...timer(capsule), ...what, ...times };
      await store.write(() => store.records('timers').put(timerKey(record), record));
    }
  });
  const second = await first.again();
  t.teardown(() => second.kill('SIGTERM'));
  const client = await second.connect();
  t.teardown(() => client.close());
  await client.request('capsule.remove', { name: 'demo' });
  const elsewhere = { ...offer, source: 'dir:/elsewhere' };
  t.match((await planOf(client, elsewhere)).consent, [
    'it is not installed yet',
    'it takes over 2 values that a removed capsule of this name stored',
  ]);
  await client.request('capsule.remove', { name: 'demo', purge: true });
  t.same((await planOf(client, elsewhere)).consent, ['it is not installed yet']);
  await installOffer(client, await makeOffer({ name: 'left' }));
  await second.kill('SIGTERM');
  await within(async (store, kv) => {
    t.same(
      [...store.records('timers').all()].map(([key]) => key),
      [timerKey(timer('other'))],
    );
    t.same([await kv.count('alice', 'demo'), await kv.count('alice', 'other')], [0, 2]);
  });
});
