import { test } from 'tap';
import type { LogRow } from '../../abi/control.js';
import { HEARS_PROMPTS, makeGuest, SAYS_HEARD } from '../kit/guests.js';
import { openSession, waitForLog } from '../kit/log-watch.js';
import { startSupervisor } from '../kit/real-supervisor.js';

test('a capsule that may publish nothing, triggering a discovery below a wildcard, reaches only those who answer discovery', async (t) => {
  const request = '{"hook":"llm.v1.stream.describe","payload":{"text":"forged"}}';
  const forger = await makeGuest({
    name: 'forger',
    manifest: HEARS_PROMPTS,
    calls: { astrid_trigger_hook: { params: 1, result: true } },
    data: { 100: request.replaceAll('"', '\\"') },
    body: `(drop (call $astrid_trigger_hook (call $block (i32.const 100) (i32.const ${request.length})))) ${SAYS_HEARD}`,
  });
  const hears = (name: string, event: string) =>
    makeGuest({ name, manifest: `[[interceptor]]\nevent = "${event}"\naction = "go"\n`, body: SAYS_HEARD });
  const agent = await hears('agent', 'llm.v1.stream.*');
  const describer = await hears('describer', '*.v1.stream.describe');
  const supervisor = await startSupervisor({ builtins: { forger, agent, describer } });
  t.teardown(supervisor.end);
  const client = await supervisor.connect();
  t.teardown(() => client.close());
  const { say } = await openSession(client, supervisor.workspace);
  await say('go');
  await waitForLog(client, 'forger', /heard/);
  await waitForLog(client, 'describer', /heard/);
  const lines: string[] = [];
  for await (const row of await client.stream('logs', { capsule: 'agent', lines: 100 }))
    lines.push((row as LogRow).message);
  t.notMatch(lines.join('\n'), /heard/);
});
