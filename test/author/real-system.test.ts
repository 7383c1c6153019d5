import { appendFileSync, cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Test, test } from 'tap';
import type { CommandRow } from '../../abi/control.js';
import { makeFakeIo } from '../kit/fake-io.js';
import { PACKAGE_ROOT } from '../kit/package-root.js';
import { startSupervisor } from '../kit/real-supervisor.js';
import { runCli, startCli } from '../kit/run-cli.js';
import { manifestOf, Workshop } from './author-kit.js';

async function open(t: Test) {
  const shop = new Workshop(t);
  const supervisor = await startSupervisor({ realBuiltins: true });
  t.teardown(supervisor.end);
  const options = { cwd: shop.root, env: shop.env };
  return {
    shop,
    supervisor,
    run: (...argv: string[]) => runCli(argv, supervisor.home, options),
    start: (...argv: string[]) => {
      const io = makeFakeIo(options);
      return { io, running: startCli(argv, supervisor.home, io) };
    },
  };
}

test('a new capsule, from its directory, is installed, called by name, edited and swapped, and its values stay', async (t) => {
  const { shop, run, start } = await open(t);
  const dir = await shop.make('notes');
  const main = join(dir, 'main.ts');
  const installed = await run('capsule', 'install', 'notes', '--yes');
  t.equal(installed.exitCode, 0, 'a directory with source and without a module is built');
  t.match(await run('-p', 'use add_note {"text":"milk"}'), { exitCode: 0, out: /add_note answered:\s+kept, 1 in all/ });

  const { io, running } = start('capsule', 'dev', 'notes');
  await io.outText.until('swapped in');
  for (const edit of ['held', 'stored']) {
    writeFileSync(main, readFileSync(main, 'utf8').replace(/kept|held/, edit));
    await io.outText.until('swapped in');
  }
  t.match(await run('-p', 'use add_note {"text":"eggs"}'), { out: /stored, 2 in all/ });
  writeFileSync(main, `${readFileSync(main, 'utf8')}const x: = 1;\n`);
  await io.errText.until('^');
  t.match(await run('-p', 'use list_notes'), { exitCode: 0, out: /\["milk","eggs"\]/ }, 'the good one runs on');
  writeFileSync(main, readFileSync(main, 'utf8').replace('const x: = 1;\n', ''));
  appendFileSync(join(dir, 'Capsule.toml'), '\n[capabilities]\nfs_read = ["cwd://"]\n');
  await io.errText.until('--accept');
  io.interrupt();
  t.equal(await running, 130);
  t.match(await run('capsule', 'dev', 'notes', '--once'), {
    exitCode: 4,
    err: /1 permission that it did not have: \S+ \S+/,
  });
  t.match(await run('capsule', 'dev', 'notes', '--once', '--accept'), { exitCode: 0 });
  t.match(await run('capsule', 'pack', 'notes', '-o', 'n.capsule'), { exitCode: 0, out: /packed/ });
  t.match(await run('-p', 'use list_notes'), { out: /\["milk","eggs"\]/ });
});

test('capsule dev, a capsule that is not installed yet, installs it with --accept and shows what it logs from its first start on', async (t) => {
  const { shop, run, start } = await open(t);
  const main = (said: string) =>
    `import { defineCapsule } from 'astrid/sdk';
import { forever } from 'astrid/sdk/loop';
import { signalReady } from 'astrid/sdk/runtime';
defineCapsule({ run: () => { console.log('${said}'); signalReady(); setInterval(() => undefined, 60_000); return forever(); } });
`;
  const dir = await shop.make('fresh', 'tool', {
    'main.ts': main('first words'),
    'Capsule.toml': manifestOf('fresh'),
  });
  t.match(await run('capsule', 'dev', 'fresh', '--once'), { exitCode: 4, err: /not installed yet/ });
  const { io, running } = start('capsule', 'dev', 'fresh', '--accept');
  await io.outText.until('swapped in');
  await io.outText.until('first words');
  writeFileSync(join(dir, 'main.ts'), main('second words'));
  await io.outText.until('second words');
  io.interrupt();
  t.equal(await running, 130);
});

test('a slash command of a capsule, in a system that runs, is listed and answers', async (t) => {
  const { shop, supervisor, run } = await open(t);
  await shop.make('loud', 'tool', {
    'Capsule.toml': manifestOf('loud', '[[command]]\nname = "shout"\ndescription = "Says it louder"\n'),
    'main.ts': `import { defineCapsule } from 'astrid/sdk';
defineCapsule({ commands: { shout: (call) => (call as { args: string }).args.toUpperCase() } });
`,
  });
  t.match(await run('capsule', 'install', 'loud', '--yes'), { exitCode: 0 });
  t.match(await run('-p', '/shout hello there'), { exitCode: 0, out: 'HELLO THERE\n' });
  t.match(await run('-p', '/whisper hello'), { out: /do not understand/ }, 'what nobody has is for the agent');
  const client = await supervisor.connect();
  t.teardown(() => client.close());
  t.same((await client.request('commands.list', {})) as CommandRow[], [
    { name: 'shout', description: 'Says it louder', capsule: 'loud' },
  ]);
  t.match(await run('capsule', 'remove', 'loud'), { exitCode: 0 });
  t.same(await client.request('commands.list', {}), []);
});

test('a source that does not build, on build, install and pack, is told with its place and exit code 1', async (t) => {
  const { shop, run } = await open(t);
  await shop.make('bad', 'tool', { 'main.ts': 'const x = ;\n' });
  t.match(await run('build', 'bad'), { exitCode: 1, err: /main\.ts:1:11/ });
  t.match(await run('capsule', 'check', 'bad'), {
    exitCode: 1,
    err: /^main\.ts:1:11: [^\n]*\n> 1 \| const x = ;\n[^\n]*\^\n/,
  });
  for (const command of ['install', 'pack']) t.match((await run('capsule', command, 'bad')).err, /main\.ts:1:11/);
});

test('the example desk, installed with its answers given beforehand, is what its manifest says and answers', async (t) => {
  const { shop, run } = await open(t);
  cpSync(join(PACKAGE_ROOT, 'docs/examples/desk'), join(shop.root, 'desk'), { recursive: true });
  t.match(await run('capsule', 'check', 'desk', '--strict'), { exitCode: 0 });
  t.match(await run('capsule', 'install', 'desk', '--yes'), { exitCode: 1, err: /--set name=VALUE/ });
  writeFileSync(join(shop.root, 'token'), 's3cret');
  const answers = ['--set', 'name=front', '--set', 'color=blue', '--secret-file', 'api_token=token'];
  t.match(await run('capsule', 'install', 'desk', '--yes', ...answers), { exitCode: 0 });
  t.match(await run('-p', '/desk'), { out: '{"name":"front","color":"blue","ticks":0}\n' });
  t.match(await run('-p', 'use desk_status'), { exitCode: 5, out: /waits for your approval/ });
});
