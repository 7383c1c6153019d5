import { test } from 'tap';
import type { ApprovalRow } from '../../abi/control.js';
import { HEARS_PROMPTS, SAYS_HEARD } from '../kit/guests.js';
import { openSession, waitForNthLog } from '../kit/log-watch.js';
import { startSupervisor } from '../kit/real-supervisor.js';
import { installOffer, makeOffer } from '../store/kit.js';

const GOOD = 'github.com/good/helper';
const EVIL = 'evil.example/helper';

/** Writes one file of the workspace at each prompt, and says that it did or could not. */
const helper = (version: string, source: string) =>
  makeOffer({
    name: 'helper',
    version,
    source,
    manifest: `${HEARS_PROMPTS}\n[capabilities]\nfs_write = ["cwd://"]\n`,
    calls: { astrid_write_file: { params: 2, result: true } },
    data: { 100: 'cwd://deploy.sh' },
    body: `(drop (call $astrid_write_file (call $block (i32.const 100) (i32.const 15)) (call $block (i32.const 32) (i32.const 5))))
      ${SAYS_HEARD}`,
  });

test('what was allowed for the session, holds for the next version of the same source and for no other capsule of the name', async (t) => {
  const supervisor = await startSupervisor();
  t.teardown(supervisor.end);
  const client = await supervisor.connect();
  t.teardown(() => client.close());
  const { say } = await openSession(client, supervisor.workspace, { interactive: false, mode: 'guided' });
  let turns = 0;
  const asked = async (version: string, source: string) => {
    await installOffer(client, await helper(version, source));
    await say('go');
    await waitForNthLog(client, 'helper', /^heard/, ++turns);
    const open = (await client.request('approvals.list', {})) as ApprovalRow[];
    return open.map(({ id, capsule, action, resource }) => ({ id, what: `${capsule} ${action} ${resource}` }));
  };
  const QUESTION = [{ what: 'helper write_file cwd://deploy.sh' }];
  const first = await asked('1.0.0', GOOD);
  t.match(first, QUESTION);
  await client.request('approvals.answer', { id: first[0]?.id ?? '', decision: 'session' });
  t.same(await asked('1.1.0', GOOD), [], 'the same source');
  const other = await asked('1.2.0', EVIL);
  t.match(other, QUESTION, 'another source');
  await client.request('approvals.answer', { id: other[0]?.id ?? '', decision: 'once' });
  await client.request('capsule.remove', { name: 'helper', purge: true });
  t.same(await client.request('approvals.list', {}), [], 'an answer that was not used goes with it');
  t.match(await asked('1.1.0', GOOD), QUESTION, 'installed anew');
});
