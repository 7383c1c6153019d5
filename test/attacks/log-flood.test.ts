import { test } from 'tap';
import type { StatusResult } from '../../abi/control.js';
import type { ControlClient } from '../../cli/client.js';
import { makeGuest, SAYS_HEARD } from '../kit/guests.js';
import { openSession, waitForLog } from '../kit/log-watch.js';
import { startSupervisor } from '../kit/real-supervisor.js';

const CALLS = 1_000;
const ELICIT = '{"type":"text","key":"k"}';

const sizeOf = async (client: ControlClient) =>
  ((await client.request('status', {})) as StatusResult).auditor.treeSize ?? Number.POSITIVE_INFINITY;

test('a capsule without any permission, which asks a person over and over outside of a hook, does not fill the log', async (t) => {
  const flood = `(loop $x
      (drop (call $astrid_elicit (call $block (i32.const 100) (i32.const ${ELICIT.length}))))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $x (i32.lt_u (local.get $i) (i32.const ${CALLS}))))
    ${SAYS_HEARD}`;
  const supervisor = await startSupervisor({
    builtins: {
      flood: await makeGuest({
        name: 'flood',
        calls: { astrid_elicit: { params: 1, result: true } },
        data: { 100: ELICIT.replaceAll('"', '\\"') },
        body: flood,
      }),
    },
  });
  t.teardown(supervisor.end);
  const client = await supervisor.connect();
  t.teardown(() => client.close());
  const { say } = await openSession(client, supervisor.workspace);
  const before = await sizeOf(client);
  await say('go');
  await waitForLog(client, 'flood', /^heard/);
  const entries = (await sizeOf(client)) - before;
  t.ok(entries < CALLS / 3, `${entries} entries for ${CALLS} calls`);
});
