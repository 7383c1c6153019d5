import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'tap';
import { Fault } from '../../abi/errno.js';
import { FakeSupervisor } from '../kit/fake-supervisor.js';
import { startCli } from '../kit/run-cli.js';
import { answerOf, Workshop } from './author-kit.js';

const MAIN = (reply: string) => `
import { defineCapsule } from 'astrid/sdk';
import { final } from 'astrid/sdk/interceptor';
const built = { at: Math.random(), reply: '${reply}' };
defineCapsule({ interceptors: { go: () => final(built.reply) } });
`;

async function startFakeIn(
  t: { teardown(run: () => unknown): void },
  shop: Workshop,
  extra: Record<string, unknown> = {},
) {
  const consent = extra['consent'] ?? [];
  let installs = 0;
  const methods = {
    'capsule.swap': () => {
      // As the real one: what is not installed yet is more than another build.
      if (installs === 0) throw new Fault('plan_changed', 'look at its plan');
      return {};
    },
    'capsule.plan': () => ({ planHash: 'ab'.repeat(32), consent }),
    'capsule.install': () => {
      installs += 1;
      return {};
    },
  };
  const fake = await FakeSupervisor.start(join(shop.root, 'home'), { logs: () => undefined }, { extra: methods });
  t.teardown(() => fake.stop());
  return fake;
}

const wasmOf = (call: { params: Readonly<Record<string, unknown>> }) => call.params['wasm'] as Uint8Array;

test('capsule dev, a change, swaps in a module that runs, under the plan that was shown', async (t) => {
  const shop = new Workshop(t);
  const fake = await startFakeIn(t, shop);
  const dir = await shop.make('swapped', 'tool', { 'main.ts': MAIN('one') });
  const io = shop.io();
  const running = startCli(['capsule', 'dev', 'swapped'], join(shop.root, 'home'), io);
  const first = await fake.waitCall('capsule.install');
  await io.outText.until('swapped in');
  writeFileSync(join(dir, 'main.ts'), MAIN('two'));
  const second = await fake.waitCall('capsule.swap', 2);
  await io.outText.until('swapped in');
  io.interrupt();
  t.equal(await running, 130);
  t.same(Object.keys(first.params).sort(), ['manifest', 'planHash', 'source', 'wasm']);
  t.equal(first.params['source'], `path:${dir}`, 'as an install of the directory names it');
  t.equal(await answerOf(wasmOf(first)), '0:"one"');
  t.equal(await answerOf(wasmOf(second)), '0:"two"');
  t.same(
    fake.calls.map(({ method }) => method).filter((method) => /plan|install|swap/.test(method)),
    ['capsule.swap', 'capsule.plan', 'capsule.install', 'capsule.swap'],
    'other code alone is sent once',
  );
});

test('capsule dev, source that does not build, shows line and column, and the next good one is swapped in', async (t) => {
  const shop = new Workshop(t);
  const fake = await startFakeIn(t, shop);
  const dir = await shop.make('broken', 'tool', { 'main.ts': 'const x = ;\n' });
  const io = shop.io();
  const running = startCli(['capsule', 'dev', 'broken'], join(shop.root, 'home'), io);
  await io.errText.until('main.ts:1:11: ');
  await io.errText.until('> 1 | const x = ;\n');
  t.same(
    fake.calls.filter(({ method }) => method === 'capsule.install'),
    [],
  );
  writeFileSync(join(dir, 'main.ts'), MAIN('mended'));
  await fake.waitCall('capsule.install');
  // The log of the capsule follows, with places in the author's file.
  await io.outText.until('swapped in');
  fake.log({ time: 0, capsule: 'broken', level: 'error', message: 'Error: late\n    at go (capsule.js:1:1)' });
  await io.outText.until('Error: late');
  io.interrupt();
  t.equal(await running, 130);
});

test('capsule dev, a manifest that asks for what nobody agreed to, is not swapped in without --accept', async (t) => {
  const shop = new Workshop(t);
  const fake = await startFakeIn(t, shop, { consent: ['it may change files below cwd://'] });
  await shop.make('greedy', 'tool', { 'main.ts': MAIN('x') });
  const run = (...more: string[]) => shop.run('capsule', 'dev', 'greedy', '--once', ...more);
  t.match(await run(), { exitCode: 4, err: /nobody agreed to: it may change files below cwd:\/\/[\s\S]*--accept/ });
  t.same(
    fake.calls.map(({ method }) => method).filter((method) => method === 'capsule.install'),
    [],
  );
  t.match(await run('--accept'), { exitCode: 0, out: /accepted: it may change files/ });
});
