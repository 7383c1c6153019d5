import { test } from 'tap';
import { makeGuest, SAYS_HEARD } from '../kit/guests.js';
import { waitForLog } from '../kit/log-watch.js';
import { startSupervisor } from '../kit/real-supervisor.js';

test('a capsule that the operator killed and that is started again, the others are told that its process ended', async (t) => {
  const watcher = '[[interceptor]]\nevent = "astrid.v1.health.failed"\naction = "go"\n';
  const supervisor = await startSupervisor({
    builtins: {
      victim: await makeGuest({ name: 'victim', restart: 'always' }),
      watcher: await makeGuest({ name: 'watcher', manifest: watcher, body: SAYS_HEARD }),
    },
  });
  t.teardown(supervisor.end);
  const client = await supervisor.connect();
  t.teardown(() => client.close());
  await client.request('kill', { target: 'victim' });
  await waitForLog(client, 'watcher', /heard/);
});
