import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'tap';
import { KvStore } from '../../supervisor/storage/kv.js';
import { openStore } from '../../supervisor/storage/store.js';

const storage = (name: string) => new URL(`../../supervisor/storage/${name}.js`, import.meta.url).href;

/** Writes values without end and prints the number of each one that was acknowledged. */
const WRITER = `
  const { openStore } = await import(${JSON.stringify(storage('store'))});
  const { KvStore } = await import(${JSON.stringify(storage('kv'))});
  const kv = new KvStore(openStore(process.argv[1]));
  for (let at = 0; ; at++) kv.set('ann', 'fs', 'key' + at, Buffer.from('value' + at)).then(() => console.log(at)), at % 20 === 0 && await new Promise(setImmediate);
`;

test('a supervisor killed while it writes, finds every acknowledged value and exact usage after the restart', async (t) => {
  const dir = join(t.testdir(), 'state');
  const child = spawn(process.execPath, ['--input-type=module', '-e', WRITER, dir], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = new Promise((resolve) => child.on('exit', resolve));
  t.teardown(() => child.kill('SIGKILL'));
  const acknowledged: number[] = [];
  for await (const line of createInterface({ input: child.stdout })) {
    acknowledged.push(Number(line));
    if (acknowledged.length === 500) child.kill('SIGKILL');
  }
  await exited;
  const store = openStore(dir);
  t.teardown(() => store.close());
  const kv = new KvStore(store);
  const missing = acknowledged.filter((at) => kv.get('ann', 'fs', `key${at}`)?.toString() !== `value${at}`);
  t.ok(acknowledged.length >= 500);
  t.same(missing, []);
  const keys = await kv.list('ann', 'fs', '');
  const bytes = keys.reduce((sum, key) => sum + 7 + key.length + kv.get('ann', 'fs', key)!.length, 0);
  t.equal(kv.usage('ann'), bytes);
  await kv.set('ann', 'fs', 'after', Buffer.from('x'));
  t.equal(kv.get('ann', 'fs', 'after')?.toString(), 'x');
});
