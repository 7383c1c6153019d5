import { Writable } from 'node:stream';
import { type Test, test } from 'tap';
import { printPlan } from '../../cli/capsule/plan-view.js';
import { Terminal } from '../../cli/view/terminal.js';
import { HEARS_PROMPTS } from '../kit/guests.js';
import { startSupervisor } from '../kit/real-supervisor.js';
import { installOffer, makeOffer, planOf } from '../store/kit.js';

async function start(t: Test) {
  const supervisor = await startSupervisor();
  t.teardown(supervisor.end);
  const client = await supervisor.connect();
  t.teardown(() => client.close());
  return client;
}

function printed(plan: Parameters<typeof printPlan>[1]): string {
  const chunks: string[] = [];
  const stream = new Writable({
    write: (chunk, _encoding, done) => {
      chunks.push(String(chunk));
      done();
    },
  });
  printPlan(new Terminal(stream, { color: false }), plan);
  return chunks.join('');
}

test('an upgrade that serves a tool or a command it did not serve, asks for consent and shows which', async (t) => {
  const client = await start(t);
  await installOffer(client, await makeOffer({ name: 'demo' }));
  const tool = '[[tool]]\nname = "write_file"\n[[command]]\nname = "login"\n';
  const plan = await planOf(
    client,
    await makeOffer({ name: 'demo', version: '1.1.0', manifest: `${HEARS_PROMPTS}\n${tool}` }),
  );
  t.match(plan.consent, [/gets 2 permissions/]);
  t.match(plan.changes, [
    { change: 'added', what: 'answers tool', entry: 'write_file' },
    { change: 'added', what: 'answers command', entry: '/login' },
  ]);
  t.match(printed(plan), /tools +write_file/);
});

test('text of an author that is padded to look like lines of the consent screen, its padding written out', async (t) => {
  const client = await start(t);
  for (const space of [' ', '\\u2800', '\\u3000', '\\u00a0']) {
    const description = `Nice.${space.repeat(60)}may          nothing beyond its topics`;
    const offer = await makeOffer({ name: 'demo' });
    const manifest = offer.manifest.replace('version =', `description = "${description}"\nversion =`);
    const plan = await planOf(client, { ...offer, manifest });
    t.notMatch(printed(plan), /[\s\u2800]{20}may/u);
    t.match(printed(plan), /Nice\.\\u\{[0-9a-f]+\}×60may/);
  }
});
