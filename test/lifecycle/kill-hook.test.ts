import { type Test, test } from 'tap';
import type { LogRow, ProcessRow } from '../../abi/control.js';
import type { ControlClient } from '../../cli/client.js';
import { HEARS_PROMPTS, logAt } from '../kit/guests.js';
import { startSupervisor } from '../kit/real-supervisor.js';
import { runCli } from '../kit/run-cli.js';
import { faultOf, installOffer, makeOffer, planOf } from '../store/kit.js';

const TWO = { params: 2, result: true } as const;
const KEY = '(call $block (i32.const 32) (i32.const 5))';
/** Stores a value, says "heard", and never ends. */
const STUCK = `(drop (call $astrid_kv_set ${KEY} ${KEY})) ${logAt(32, 5)} (loop $x (br $x)) (i32.const 0)`;

function stuck(hook: 'install' | 'upgrade', version: string) {
  const exports = { [`astrid_${hook}`]: STUCK };
  return makeOffer({ name: 'demo', version, calls: { astrid_kv_set: TWO }, exports });
}

async function start(t: Test) {
  const supervisor = await startSupervisor();
  t.teardown(supervisor.end);
  const client = await supervisor.connect();
  t.teardown(() => client.close());
  const cli = (line: string) => runCli(line.split(' '), supervisor.home);
  return { client, cli };
}

/** The log of everybody: a capsule that is not installed yet has none of its own to ask for. */
async function waitHeard(client: ControlClient): Promise<void> {
  const stream = await client.stream('logs', { follow: true });
  try {
    for await (const event of stream) if ((event as LogRow).message === 'heard') return;
  } finally {
    stream.cancel();
  }
}

const psOf = async (client: ControlClient) => (await client.request('ps', {})) as ProcessRow[];

test('a hook of a first install, stuck: ps shows it, kill ends it, and nothing of the install is left', async (t) => {
  const { client, cli } = await start(t);
  const installing = faultOf(installOffer(client, await stuck('install', '1.0.0')));
  await waitHeard(client);
  t.match(await psOf(client), [{ capsule: 'demo', state: 'hook', version: '1.0.0' }]);
  t.match((await cli('ps')).out, /demo +jail +hook/);
  t.match(await cli('kill demo'), { exitCode: 0, out: /to its install hook: the install fails and is undone/ });
  t.match(await installing, {
    code: 'cancelled',
    message: /^the install hook of demo was killed by the operator \(.+\)/,
  });
  t.same(await psOf(client), []);
  t.same(await client.request('capsule.list', {}), []);
  t.same((await planOf(client, await makeOffer({ name: 'demo' }))).consent, ['it is not installed yet'], 'no value');
  t.match(await cli('logs demo'), { exitCode: 0, out: /heard/ }, 'what it said can be read');
  t.match(await cli('kill demo'), { exitCode: 1, err: /no capsule or process demo/ });
  await installOffer(client, await makeOffer({ name: 'next' }));
  t.match(await psOf(client), [{ capsule: 'next', state: 'ready' }], 'the installer is free');
});

test('a hook of an upgrade, stuck, beside the running version: each is killed by its pid, the hook by its name', async (t) => {
  const { client, cli } = await start(t);
  await installOffer(client, await makeOffer({ name: 'demo', manifest: HEARS_PROMPTS }));
  const [before] = await psOf(client);
  const upgrade = async () => faultOf(installOffer(client, await stuck('upgrade', '2.0.0')));
  let upgrading = upgrade();
  await waitHeard(client);
  const [running, hook] = await psOf(client);
  t.match(running, { version: '1.0.0', state: 'ready', pid: before?.pid });
  t.match(hook, { version: '2.0.0', state: 'hook' });
  t.match((await cli('kill demo')).out, /to its upgrade hook/);
  t.match(await upgrading, { code: 'cancelled', message: /^the upgrade hook of demo was killed/ });
  t.match(await psOf(client), [{ version: '1.0.0', state: 'ready', pid: before?.pid }], 'the old one did not notice');
  t.match((await cli('capsule verify')).out, /^ok +demo/);
  upgrading = upgrade();
  const found = async (): Promise<ProcessRow> =>
    (await psOf(client)).find(({ state, pid }) => state === 'hook' && pid !== null) ?? found();
  const { pid } = await found();
  t.match((await cli(`kill ${running?.pid}`)).out, /^demo: TERM sent, KILL/, 'the running one');
  t.match((await cli(`kill ${pid}`)).out, /to its upgrade hook/);
  t.match(await upgrading, { code: 'cancelled' });
});
