import { unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'tap';
import type { DiffRow, StatusResult } from '../../abi/control.js';
import { converse } from '../kit/conversation.js';
import { startSupervisor } from '../kit/real-supervisor.js';
import { fillDisk, mountSmallDisk, NO_SMALL_DISK } from '../kit/small-disk.js';

test('on a full disk actions are refused with a clear code, nothing is lost, and all goes on when there is room', {
  skip: NO_SMALL_DISK,
}, async (t) => {
  const place = mountSmallDisk(t, 'size=96m');
  const supervisor = await startSupervisor({ realBuiltins: true, files: { 'a.txt': 'a\n' }, root: place });
  t.teardown(supervisor.end);
  const client = await supervisor.connect();
  t.teardown(() => client.close());
  const person = await converse(client, supervisor.workspace, { mode: 'yolo' });
  t.equal((await person.say('write "before" to before.txt')).outcome, 'ok');

  const ballast = join(place, 'ballast');
  fillDisk(ballast);
  const refused = await person.say('write "during" to during.txt');
  t.equal(refused.outcome, 'failed');
  t.match(refused.text, /could not write.*(audit_unavailable|no_space)/, 'no success is claimed');
  const { auditor } = (await client.request('status', {})) as StatusResult;
  t.ok(auditor.treeSize > 0, 'and the supervisor answers');

  unlinkSync(ballast);
  let after = '';
  while (!after.includes('Wrote')) {
    const turn = await person.say('write "after" to after.txt').catch(() => null);
    after = turn?.text ?? '';
  }
  const diff = (await client.request('overlay.diff', { session: person.session })) as DiffRow[];
  t.same(diff.map(({ path }) => path).sort(), ['after.txt', 'before.txt'], 'what was refused has left nothing');
});
