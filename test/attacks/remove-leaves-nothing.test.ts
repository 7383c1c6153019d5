import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'tap';
import { LIMITS } from '../../abi/limits.js';
import { LogBook } from '../../supervisor/log-book.js';
import { startSupervisor } from '../kit/real-supervisor.js';
import { installOffer, makeOffer, WAIT } from '../store/kit.js';

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
