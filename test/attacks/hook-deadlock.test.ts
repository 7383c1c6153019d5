import type { ServerResponse } from 'node:http';
import { test } from 'tap';
import { callAndLog, HTTP_CALLS, quoteData, TELL } from '../http/guest-text.js';
import { serve } from '../http/kit.js';
import { makeGuest } from '../kit/guests.js';
import { openSession, waitForLog } from '../kit/log-watch.js';
import { startSupervisor } from '../kit/real-supervisor.js';

/** Woken by `wakes`, asks at `url`, then calls the hook of the other and logs what it got; its own hook answers at once. */
const caller = (name: string, wakes: string, other: string, url: string) => {
  const asks = JSON.stringify({ url });
  const request = `{"hook":"${other}.v1.hook","payload":1}`;
  return makeGuest({
    name,
    restart: 'never',
    manifest: `[capabilities]\nnet = ["localhost"]\n\n[publish]\n"${other}.v1.hook" = { wit = "opaque" }\n\n[[interceptor]]\nevent = "${wakes}"\naction = "go"\n\n[[interceptor]]\nevent = "${name}.v1.hook"\naction = "h"\n\n[limits]\nwall_ms = 120000\n`,
    calls: { astrid_trigger_hook: { params: 1, result: true }, astrid_http_request: HTTP_CALLS.astrid_http_request },
    data: { 100: quoteData(request), 1024: quoteData(asks) },
    more: TELL,
    body: `(if (i64.gt_u (call $input_length) (i64.const 60)) (then
        (drop (call $astrid_http_request (call $block (i32.const 1024) (i32.const ${asks.length}))))
        ${callAndLog('astrid_trigger_hook', 100, request)}))
      (i32.const 0)`,
  });
};

test('two capsules that call a hook of each other at the same time both get an answer, not their time limit', async (t) => {
  // Neither is answered before both have asked, so each is in its handler when the other calls it.
  const asking: ServerResponse[] = [];
  const server = await serve(t, (_request, response) => {
    if (asking.push(response) === 2) for (const one of asking) one.end();
  });
  const url = `http://localhost:${server.port}/`;
  const alpha = await caller('alpha', 'user.v1.prompt', 'beta', url);
  const beta = await caller('beta', 'cli.v1.command.execute', 'alpha', url);
  const config = `[net]\nlocal = ["localhost:${server.port}"]\n`;
  const supervisor = await startSupervisor({ builtins: { alpha, beta }, config });
  t.teardown(supervisor.end);
  const client = await supervisor.connect();
  t.teardown(() => client.close());
  const { id, say } = await openSession(client, supervisor.workspace, { mode: 'yolo' });
  const payload = { type: 'custom', data: 'wake up: a payload long enough to be told from a hook' };
  await Promise.all([
    say('a prompt that is long enough to be told from a hook'),
    client.request('bus.publish', { session: id, topic: 'cli.v1.command.execute', payload }),
  ]);
  const ends = await Promise.all(['alpha', 'beta'].map((name) => waitForLog(client, name, /^(?!started)/)));
  // Who came second is told at once; then the call of the other, which waited for its end, goes on.
  const outcomes = ends.map(({ message }) => (/"conflict".*a cycle/.test(message) ? 'a cycle' : message));
  t.same(outcomes.sort(), ['[]', 'a cycle']);
  t.equal(asking.length, 2, 'both were in their handlers at the same time');
});
