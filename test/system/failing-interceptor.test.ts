import { test } from 'tap';
import type { LogRow } from '../../abi/control.js';
import { makeGuest } from '../kit/guests.js';
import { openSession, rowOf, waitForLog } from '../kit/log-watch.js';
import { startSupervisor } from '../kit/real-supervisor.js';

const INPUT = '(import "extism:host/env" "input_offset" (func $input_offset (result i64)))';
const SAYS_INPUT =
  '(drop (call $astrid_log (call $block (i32.const 16) (i32.const 4)) (call $input_offset))) (i32.const 0)';

const interceptor = (event: string, action: string, more = '') =>
  `\n[[interceptor]]\nevent = "${event}"\naction = "${action}"\n${more}\n`;

/** A guard that traps on each prompt, before a listener that says what it was asked to do. */
async function startPair(fail: 'open' | 'closed') {
  const manifest = interceptor('user.v1.prompt', 'on_prompt', `priority = 1\nfail = "${fail}"`);
  const heard = interceptor('user.v1.prompt', 'on_prompt', 'priority = 200');
  return startSupervisor({
    builtins: {
      guard: await makeGuest({ name: 'guard', body: '(unreachable)', manifest }),
      listener: await makeGuest({
        name: 'listener',
        body: SAYS_INPUT,
        imports: INPUT,
        manifest: heard + interceptor('cli.v1.command.execute', 'on_command'),
      }),
    },
  });
}

test('an interceptor that crashes in a real process: with fail = "closed" nobody behind it hears the message', async (t) => {
  const supervisor = await startPair('closed');
  t.teardown(supervisor.end);
  const client = await supervisor.connect();
  t.teardown(() => client.close());
  const { id, say } = await openSession(client, supervisor.workspace);
  await say('go');
  while ((await rowOf(client, 'guard')).restarts === 0);
  await client.request('bus.publish', { session: id, topic: 'cli.v1.command.execute', payload: {} });
  await waitForLog(client, 'listener', /on_command/);
  const lines: string[] = [];
  for await (const event of await client.stream('logs', { capsule: 'listener', lines: 100, follow: false }))
    lines.push((event as LogRow).message);
  t.same(
    lines.filter((line) => line.includes('on_prompt')),
    [],
  );
});

test('an interceptor that crashes, with fail = "open", is left out and the message goes on', async (t) => {
  const supervisor = await startPair('open');
  t.teardown(supervisor.end);
  const client = await supervisor.connect();
  t.teardown(() => client.close());
  const { say } = await openSession(client, supervisor.workspace);
  await say('go');
  t.ok(await waitForLog(client, 'listener', /on_prompt/));
});
