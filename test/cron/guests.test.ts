import { test } from 'tap';
import { openSession, waitForLog } from '../kit/log-watch.js';
import { at, COPY, startKernel, wat } from '../lifecycle/kernel-kit.js';

const THREE = { params: 3, result: true } as const;
const ONE = { params: 1, result: true } as const;
const say = '(call $say (call $input)) (i32.const 0)';
const schedule = (text: string) =>
  `(call $say (call $copy (call $astrid_cron_schedule ${at(100, 'wake')} ${at(120, text)} ${at(400, '[1]')})))`;

const guest = (name: string, text: string, manifest: string, more: object = {}) => ({
  name,
  manifest: `\n[[interceptor]]\nevent = "user.v1.prompt"\naction = "go"\n${manifest}`,
  calls: { astrid_cron_schedule: THREE, astrid_cron_cancel: ONE },
  data: { 100: 'wake', 120: wat(text), 400: '[1]' },
  more: COPY,
  body: `${schedule(text)} (i32.const 0)`,
  ...more,
});

test('astrid_cron_schedule, with and without the capability, with a bad schedule, answers as the gate and the schedule say', async (t) => {
  const CRON = '[capabilities]\ncron = true\n';
  const running = await startKernel(
    [
      guest('may', '0 3 * * *', CRON),
      guest('mistaken', '* * * * * *', CRON),
      guest('lacks', '@daily', ''),
      guest('loops', '@daily', CRON, { exports: { run: `${schedule('@daily')} (loop $x (br $x)) (i32.const 0)` } }),
    ],
    { config: '[approval]\nmode = "yolo"\n' },
  );
  t.teardown(running.end);
  const client = await running.connect();
  t.teardown(() => client.close());
  const { say: speak } = await openSession(client, running.home, { mode: 'yolo' });
  await speak('go');
  t.equal((await waitForLog(client, 'may', /^\0|code/)).message, '\0');
  t.match((await waitForLog(client, 'mistaken', /code/)).message, /invalid_argument.*seconds/);
  t.match((await waitForLog(client, 'lacks', /code/)).message, /capability_missing/);
  t.match((await waitForLog(client, 'loops', /code/)).message, /not_supported.*run loop/);
});

test('a timer of the manifest that was missed while the supervisor was down, wakes its capsule by the export it has', async (t) => {
  const cron = '\n[[cron]]\nname = "yearly"\nschedule = "0 0 1 1 *"\ntimezone = "UTC"\naction = "sweep"\n';
  const running = await startKernel([
    guest('hooked', '@daily', cron, { body: say }),
    guest('exported', '@daily', cron, { body: '(i32.const 0)', exports: { astrid_cron_trigger: say } }),
  ]);
  t.teardown(running.end);
  // The way to a missed occurrence without waiting a year: its record says that it was begun.
  await running.stop();
  const { openStore } = await import('../../supervisor/storage/store.js');
  const { join } = await import('node:path');
  const store = await openStore(join(running.home, 'var/state'));
  const table = store.records('timers');
  const rows = [...table.all()];
  t.equal(rows.length, 2, 'both were kept');
  await store.write(() => {
    for (const [key, record] of rows) table.put(key, { ...(record as object), pendingAt: 1 });
  });
  await store.close();
  const next = await running.again().catch((error: unknown) => error as never);
  const client = await next.connect();
  t.teardown(() => client.close());
  for (const name of ['hooked', 'exported'])
    t.equal((await waitForLog(client, name, /sweep/)).message, '{"name":"sweep","arguments":[]}');
  const audit = await client.stream('audit.tail', { lines: 200 });
  const fired: unknown[] = [];
  for await (const entry of audit) if (JSON.stringify(entry).includes('cron.fire')) fired.push(entry);
  t.ok(fired.length >= 2, 'each firing is in the log');
  await next.kernel.forget('default', 'hooked', false);
  await next.stop();
});
