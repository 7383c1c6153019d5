import { test } from 'tap';
import { closeGuestBundler } from '../kit/guest-bundle.js';
import type { GuestKernelOptions } from '../kit/guest-capsule.js';
import { GuestKernel } from '../kit/guest-kernel.js';
import { scriptProvider, text } from '../kit/scripted-provider.js';

/** Which provider the agent asks, of those that are there, and what it says when none is. */

const SCRIPTED = 'llm.v1.request.generate.scripted';
const GONE = 'llm.v1.request.generate.gone';

async function boot(options: GuestKernelOptions = {}): Promise<GuestKernel> {
  const kernel = await GuestKernel.boot(['session', 'router', 'fs', 'provider-offline', 'react'], options);
  kernel.install(...(await scriptProvider([text('scripted')])));
  return kernel;
}

function ask(kernel: GuestKernel, words = 'who are you?'): string | undefined {
  kernel.prompt('s1', words);
  kernel.run();
  return kernel.answer('s1');
}

const reasons = (kernel: GuestKernel): string[] =>
  kernel.views<{ reason: string }>('agent.v1.turn.finished').map(({ reason }) => reason);

test('a provider that was removed, the next turn goes to one that is there', async (t) => {
  const kernel = await boot();
  t.equal(ask(kernel), 'scripted');
  kernel.remove('scripted');
  t.match(ask(kernel), /offline provider/);
});

test('a provider that was removed after something else crashed, the next turn goes to one that is there', async (t) => {
  const kernel = await boot();
  t.equal(ask(kernel), 'scripted');
  kernel.setAway('fs', true);
  kernel.setAway('fs', false);
  kernel.remove('scripted');
  t.match(ask(kernel), /offline provider/);
});

test('a provider that crashed and is being restarted, waited for and not passed over', async (t) => {
  const kernel = await boot();
  ask(kernel);
  kernel.setAway('scripted', true);
  kernel.prompt('s1', 'and now?');
  kernel.runUntil(SCRIPTED);
  kernel.setAway('scripted', false);
  kernel.run();
  t.equal(kernel.answer('s1'), 'scripted');
  t.same(kernel.views('llm.v1.request.generate.offline'), []);
});

test('a provider that takes no messages any more, the same turn goes to another one', async (t) => {
  const kernel = await boot();
  ask(kernel);
  kernel.setAway('scripted', true);
  kernel.prompt('s1', 'who are you?');
  kernel.runUntil(SCRIPTED);
  kernel.remove('scripted');
  kernel.run();
  t.match(kernel.answer('s1'), /offline provider/);
  t.same(reasons(kernel), ['answered', 'answered']);
});

test('no provider at all, the turn ends at once and says so', async (t) => {
  const kernel = await GuestKernel.boot(['session', 'router', 'fs', 'react']);
  t.match(ask(kernel), /^No model can be asked: no capsule offers one/);
  t.same(reasons(kernel), ['no_provider']);
});

test('the provider that the settings name, when it is not there, the turn ends at once and names those that are', async (t) => {
  const kernel = await boot({ config: { react: { llm_provider_topic: GONE } } });
  const answer = ask(kernel) ?? '';
  t.match(answer, /llm_provider_topic/);
  t.match(answer, new RegExp(`${GONE}[^]*generate\\.offline, ${SCRIPTED}`));
  t.same(reasons(kernel), ['no_provider']);
});

test('several providers, the first by its id, whatever the order in which they were installed', async (t) => {
  for (const names of [
    ['beta', 'alpha'],
    ['alpha', 'beta'],
  ]) {
    const kernel = await boot();
    kernel.remove('scripted');
    for (const name of names) kernel.install(...(await scriptProvider([text(name)], name)));
    t.equal(ask(kernel), 'alpha');
  }
});

test('the tools of a capsule that was removed, no longer offered', async (t) => {
  const kernel = await boot();
  ask(kernel);
  kernel.remove('fs');
  ask(kernel, 'and now?');
  const offered = kernel.views<{ tools: unknown[] }>(SCRIPTED).map(({ tools }) => tools.length > 0);
  t.same(offered, [true, false]);
});

test('end', async () => closeGuestBundler());
