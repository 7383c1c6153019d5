import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { type Test, test } from 'tap';
import type { LoggedEvent } from '../../abi/audit/protocol.js';
import type { CapsuleRow, VerifyRow } from '../../abi/capsule-control.js';
import type { ElicitRow, LogRow } from '../../abi/control.js';
import type { ControlClient } from '../../cli/client.js';
import { HEARS_PROMPTS, logAt } from '../kit/guests.js';
import { openSession } from '../kit/log-watch.js';
import { type RealSupervisor, startSupervisor } from '../kit/real-supervisor.js';
import { installOffer, makeOffer } from './kit.js';

/** Says "heard" and never ends. */
const STUCK = `${logAt(32, 5)} (loop $x (br $x)) (i32.const 0)`;

async function connectTo(t: Test, supervisor: RealSupervisor): Promise<ControlClient> {
  t.teardown(supervisor.end);
  const client = await supervisor.connect();
  t.teardown(() => client.close());
  return client;
}

async function waitFor<Event>(client: ControlClient, method: 'logs' | 'audit.tail', is: (event: Event) => boolean) {
  const stream = await client.stream(method, { follow: true });
  try {
    for await (const event of stream) if (is(event as Event)) return;
  } finally {
    stream.cancel();
  }
}

const heard = (client: ControlClient) => waitFor<LogRow>(client, 'logs', ({ message }) => message === 'heard');

/** What is installed after the next start, all of it as it was installed. */
async function afterKill(t: Test, supervisor: RealSupervisor) {
  await supervisor.kill('SIGKILL');
  const client = await connectTo(t, await supervisor.again());
  const rows = (await client.request('capsule.list', {})) as CapsuleRow[];
  const verified = (await client.request('capsule.verify', {})) as VerifyRow[];
  t.ok(
    verified.every(({ ok }) => ok),
    'verify',
  );
  const directories = readdirSync(join(supervisor.home, 'home/default/.local/capsules'));
  t.same(
    directories,
    rows.map(({ name }) => name),
    'and nothing else lies there',
  );
  return { client, found: rows.map(({ name, version, state }) => `${name} ${version} ${state}`) };
}

test('SIGKILL in the hook of an upgrade, the old version runs after the next start', async (t) => {
  const supervisor = await startSupervisor();
  const client = await connectTo(t, supervisor);
  await installOffer(client, await makeOffer({ name: 'demo' }));
  const next = await makeOffer({ name: 'demo', version: '2.0.0', exports: { astrid_upgrade: STUCK } });
  const upgrading = t.rejects(installOffer(client, next), { code: 'connection_closed' });
  await heard(client);
  const { found } = await afterKill(t, supervisor);
  t.same(found, ['demo 1.0.0 ready']);
  await upgrading;
});

test('SIGKILL in the hook of a first install, nothing is installed, and the secret it asked for is not the next one of its name', async (t) => {
  const supervisor = await startSupervisor();
  const client = await connectTo(t, supervisor);
  const question = '{"type":"secret","key":"token"}';
  const ask = `(drop (call $astrid_elicit (call $block (i32.const 100) (i32.const ${question.length}))))`;
  const first = await makeOffer({
    name: 'demo',
    calls: { astrid_elicit: { params: 1, result: true } },
    data: { 100: question.replaceAll('"', '\\"') },
    exports: { astrid_install: `${ask} ${STUCK}` },
  });
  const questions = await client.stream('elicit.follow', {});
  const installing = t.rejects(installOffer(client, first), { code: 'connection_closed' });
  for await (const event of questions) {
    await client.request('elicit.answer', { id: (event as ElicitRow).id, value: 'hunter2' });
    break;
  }
  await heard(client);
  const { client: second, found } = await afterKill(t, supervisor);
  t.same(found, []);
  await installing;
  await installOffer(second, await makeOffer({ name: 'demo', manifest: '[env]\ntoken = { type = "secret" }\n' }));
  t.match(await second.request('capsule.config', { capsule: 'demo' }), [{ name: 'token', source: 'unset' }]);
});

test('SIGKILL in the middle of a removal, the capsule is whole or gone after the next start', async (t) => {
  const supervisor = await startSupervisor();
  const client = await connectTo(t, supervisor);
  // It is in an endless loop when it is removed, so that its end takes as long as one can.
  await installOffer(client, await makeOffer({ name: 'demo', manifest: HEARS_PROMPTS, body: STUCK }));
  const { say } = await openSession(client, supervisor.workspace);
  await say('go');
  await heard(client);
  const removing = client.request('capsule.remove', { name: 'demo' }).catch(() => undefined);
  await waitFor<LoggedEvent>(client, 'audit.tail', ({ action }) => action === 'capsule.remove');
  const { found } = await afterKill(t, supervisor);
  t.match(found.join(), /^(demo 1\.0\.0 ready)?$/);
  await removing;
});
