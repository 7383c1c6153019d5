import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'tap';
import type { ApprovalRow, CommitResult, DiffRow, ProcessRow } from '../../abi/control.js';
import { converse } from '../kit/conversation.js';
import { rowOf, waitForLog } from '../kit/log-watch.js';
import { startSupervisor } from '../kit/real-supervisor.js';

const files = { 'readme.md': '# Title\n', 'data.txt': 'one\ntwo\n' };

test('an agent lists, asks before it writes, and the change stays in the overlay until it is committed', async (t) => {
  const supervisor = await startSupervisor({ realBuiltins: true, files });
  t.teardown(supervisor.end);
  const client = await supervisor.connect();
  t.teardown(() => client.close());
  const person = await converse(client, supervisor.workspace, { answer: 'once' });

  const listed = await person.say('list the files here');
  t.match(listed, { outcome: 'ok', toolCalls: ['list_directory'] });
  t.match(listed.text, /readme\.md/);
  t.equal(listed.deltas, listed.text, 'what was streamed is what was answered');
  t.same(person.asked, [], 'reading asks nobody');

  const wrote = await person.say('write "hello" to notes.txt');
  t.match(wrote, { outcome: 'ok', toolCalls: ['write_file'] });
  t.match(person.asked, [{ capsule: 'fs', principal: 'default', action: 'write_file', resource: 'cwd://notes.txt' }]);
  t.match(person.asked[0]?.detail.join('\n'), /\+hello/);
  t.notOk(existsSync(join(supervisor.workspace, 'notes.txt')), 'not in the workspace yet');

  const session = person.session;
  const read = await person.say('read notes.txt');
  t.match(read.text, /hello/, 'the agent sees its own change');
  t.match((await client.request('overlay.diff', { session })) as DiffRow[], [{ path: 'notes.txt', kind: 'added' }]);

  await person.say('delete data.txt');
  t.ok(existsSync(join(supervisor.workspace, 'data.txt')));
  const rolled = await client.request('overlay.rollback', { session, paths: ['data.txt'] });
  t.same(rolled, { rolledBack: ['data.txt'] });
  t.same((await client.request('overlay.commit', { session })) as CommitResult, {
    committed: ['notes.txt'],
    conflicts: [],
  });
  t.equal(readFileSync(join(supervisor.workspace, 'notes.txt'), 'utf8'), 'hello');
  t.ok(existsSync(join(supervisor.workspace, 'data.txt')));

  await person.say('write "mine" to readme.md');
  writeFileSync(join(supervisor.workspace, 'readme.md'), 'changed by somebody else\n');
  t.match(await client.request('overlay.commit', { session }), { committed: [], conflicts: ['readme.md'] });
  t.equal(readFileSync(join(supervisor.workspace, 'readme.md'), 'utf8'), 'changed by somebody else\n');
});

test('a denied write changes nothing and the agent says so', async (t) => {
  const supervisor = await startSupervisor({ realBuiltins: true, files });
  t.teardown(supervisor.end);
  const client = await supervisor.connect();
  t.teardown(() => client.close());
  const person = await converse(client, supervisor.workspace, { answer: 'deny' });
  const turn = await person.say('write "x" to data.txt');
  t.equal(turn.outcome, 'denied');
  t.match(turn.text, /denied/i);
  t.same(await client.request('overlay.diff', { session: person.session }), []);
});

test('with nobody there a write is queued, and goes through after it was allowed', async (t) => {
  const supervisor = await startSupervisor({ realBuiltins: true, files });
  t.teardown(supervisor.end);
  const client = await supervisor.connect();
  t.teardown(() => client.close());
  const alone = await converse(client, supervisor.workspace, { interactive: false });
  t.equal((await alone.say('write "later" to later.txt')).outcome, 'queued');
  const [row] = (await client.request('approvals.list', {})) as ApprovalRow[];
  t.match(row, { state: 'queued', resource: 'cwd://later.txt', capsule: 'fs' });
  await client.request('approvals.answer', { id: row?.id ?? '', decision: 'once' });
  await t.rejects(client.request('approvals.answer', { id: row?.id ?? '', decision: 'once' }), { code: 'not_found' });
  t.equal((await alone.say('write "later" to later.txt')).outcome, 'ok');
  t.equal(
    (await alone.say('write "other" to later.txt')).outcome,
    'queued',
    'the answer was for those very bytes, once',
  );
});

test('capsules are killed one after the other and the conversation goes on', async (t) => {
  const supervisor = await startSupervisor({ realBuiltins: true, files });
  t.teardown(supervisor.end);
  const client = await supervisor.connect();
  t.teardown(() => client.close());
  const person = await converse(client, supervisor.workspace, { answer: 'once' });
  t.equal((await person.say('list the files here')).outcome, 'ok');
  for (const name of ['fs', 'provider-offline', 'session', 'router', 'react']) {
    const before = await rowOf(client, name);
    await client.request('kill', { target: name === 'fs' ? String(before.pid) : name });
    await waitForLog(client, name, /^restarted/);
    t.match(await person.say('list the files here'), { outcome: 'ok' }, `after ${name} was killed`);
    const after = await rowOf(client, name);
    t.equal(after.restarts, 1);
    t.not(after.pid, before.pid);
  }
  const rows = (await client.request('ps', {})) as ProcessRow[];
  t.same(
    rows.filter(({ state }) => state === 'failed' || state === 'stopped'),
    [],
  );
});

test('killed with SIGKILL the supervisor comes back with its sessions, its history and the uncommitted change', async (t) => {
  const supervisor = await startSupervisor({ realBuiltins: true, files });
  const client = await supervisor.connect();
  const person = await converse(client, supervisor.workspace, { answer: 'once' });
  await person.say('write "kept" to kept.txt');
  await supervisor.kill('SIGKILL');
  const next = await supervisor.again();
  t.teardown(next.end);
  const again = await next.connect();
  t.teardown(() => again.close());
  const same = await converse(again, supervisor.workspace, { answer: 'once', id: person.session });
  t.match((await same.say('read kept.txt')).text, /kept/);
  t.match(await again.request('overlay.diff', { session: person.session }), [{ path: 'kept.txt', kind: 'added' }]);
});
