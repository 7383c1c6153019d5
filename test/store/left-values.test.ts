import { type Test, test } from 'tap';
import type { LoggedEvent } from '../../abi/audit/protocol.js';
import { printPlan } from '../../cli/capsule/plan-view.js';
import { makeFakeIo } from '../kit/fake-io.js';
import { startSupervisor } from '../kit/real-supervisor.js';
import { runCli } from '../kit/run-cli.js';
import { faultOf, installOffer, makeOffer, planOf, WAIT } from './kit.js';

const TWO = { params: 2, result: true } as const;
const value = (length: number) => `(call $block (i32.const 32) (i32.const ${length}))`;
const set = (length: number) => `(drop (call $astrid_kv_set ${value(length)} ${value(1)}))`;

/** Its install hook stores this many values. */
function stores(count: number, version = '1.0.0') {
  const body = Array.from({ length: count }, (_, index) => set(index + 1)).join(' ');
  return makeOffer({
    name: 'demo',
    calls: { astrid_kv_set: TWO },
    exports: { astrid_install: `${body} (i32.const 0)` },
    version,
  });
}

async function start(t: Test) {
  const supervisor = await startSupervisor();
  t.teardown(supervisor.end);
  const client = await supervisor.connect();
  t.teardown(() => client.close());
  return { supervisor, client };
}

test('what a removed capsule stored: the plan of the next one of its name says so, and consent is bound to it', async (t) => {
  const { supervisor, client } = await start(t);
  const first = await stores(2);
  t.same((await planOf(client, first)).consent, ['it is not installed yet'], 'nothing is there at first');
  await installOffer(client, first);
  await client.request('capsule.remove', { name: 'demo' }, WAIT);
  const next = await makeOffer({ name: 'demo', source: 'https://elsewhere.example/x' });
  const plan = await planOf(client, next);
  t.same(plan.consent, [
    'it is not installed yet',
    'it takes over 2 values that a removed capsule of this name stored',
  ]);
  const shown = await runCli(['capsule', 'remove', 'demo'], supervisor.home);
  t.match(shown, { exitCode: 1, err: /one that was removed stored 2 values; to drop: .* --purge/ });
  t.match(await runCli(['capsule', 'remove', 'demo', '--purge'], supervisor.home), {
    exitCode: 0,
    out: /removed what demo had stored; it was not installed/,
  });
  t.match(await faultOf(client.request('capsule.install', { ...next, planHash: plan.planHash }, WAIT)), {
    code: 'plan_changed',
  });
  t.same((await planOf(client, next)).consent, ['it is not installed yet']);
  t.match(await faultOf(client.request('capsule.remove', { name: 'demo', purge: true }, WAIT)), {
    code: 'not_found',
    message: /no capsule demo is installed; see: astrid capsule list/,
  });
  const entries: LoggedEvent[] = [];
  for await (const entry of await client.stream('audit.tail', { lines: 100 })) entries.push(entry as LoggedEvent);
  const removals = entries.filter(({ action }) => action === 'capsule.remove');
  t.match(
    removals.map(({ resource, outcome }) => `${resource} ${outcome}`),
    ['demo@1.0.0 accepted', 'demo@1.0.0 done', 'demo@? accepted', 'demo@? done'],
  );
  t.match(removals[2]?.authorization.reason, /not installed; drops 2 values, by/);
});

test('the plan of an install, printed, says what it takes over; an upgrade keeps its own values and takes over nothing', async (t) => {
  const { client } = await start(t);
  await installOffer(client, await stores(1));
  t.same((await planOf(client, await stores(1, '1.1.0'))).consent, []);
  await client.request('capsule.remove', { name: 'demo' }, WAIT);
  const io = makeFakeIo();
  printPlan(io.out, await planOf(client, await stores(1)));
  t.match(io.outText.text, /^ {2}it takes over 1 value that a removed capsule of this name stored$/m);
});
