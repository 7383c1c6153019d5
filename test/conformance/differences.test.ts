import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'tap';
import type { AbiGeneration } from '../../abi/manifest.js';
import { callAndLog, TELL } from '../http/guest-text.js';
import { HEARS_PROMPTS } from '../kit/guests.js';
import { openSession, waitForLog } from '../kit/log-watch.js';
import { startKernel } from '../lifecycle/kernel-kit.js';
import { hear } from './bus-watch.js';
import { type Step, step, text } from './case.js';
import { payloadOf } from './judge.js';
import { openBench } from './kernel-bench.js';
import { decodeResults, encodeScript, makeScriptGuest } from './script-guest.js';

/** Rows of docs/differences.md that nothing else tries. */

const manifestOf = (name: string, rest: string, head = '') =>
  `[package]\nname = "${name}"\nversion = "1.0.0"\n${head}\n[[component]]\nid = "main"\nfile = "${name}.wasm"\n\n${rest}`;

const grants = (entries: string) => `[capabilities]\nfs_read = [${entries}]\nfs_write = [${entries}]\n`;
const WHOLE = `${grants('"cwd://", "home://", "tmp://"')}kv = ["*"]\nipc_subscribe = ["conform.v1.*"]\nipc_publish = ["conform.v1.*"]\n`;

const modules = new Map<AbiGeneration, Buffer>();
const guest = async (name: string, generation: AbiGeneration, rest: string) => {
  const wasm = modules.get(generation) ?? (await makeScriptGuest(generation));
  modules.set(generation, wasm);
  return [name, { manifest: manifestOf(name, rest), wasm }] as const;
};

test('what the page says of files and of calls that end an export', async (t) => {
  const guests = Object.fromEntries(
    await Promise.all([
      guest('whole', 3, WHOLE),
      guest('second', 3, WHOLE),
      guest('hostly', 3, grants('"/", "/etc", "file:///etc", "../"')),
      guest('olden', 3, grants('"workspace://", "global://"')),
      guest('one', 1, WHOLE),
      guest('two', 2, WHOLE),
      guest('one-bare', 1, ''),
      guest('two-bare', 2, ''),
    ]),
  );
  const greeting = `${WHOLE}\n[env]\nGREETING = { type = "string", default = "hello" }\n`;
  const stated = { manifest: manifestOf('stated', greeting, 'abi = 1\n'), wasm: await makeScriptGuest(2) };
  Object.assign(guests, { stated });
  const bench = await openBench(['process'], { guests, lanes: [3] });
  t.teardown(() => bench.end());
  const session = bench.lanes[0]!.session;
  const run = async (name: string, generation: AbiGeneration, ...steps: Step[]): Promise<string[]> => {
    const outcome = await bench.processOf(name).submit({
      exportName: 'astrid_hook_trigger',
      input: encodeScript(steps, { generation, lane: 'x', port: 0 }),
      actor: { principal: 'default', attribution: 'verified', session },
      message: null,
      label: 'try',
      wallMs: 20_000,
    });
    if (outcome.kind === 'failed') return [`ended: ${outcome.fault.code}: ${outcome.fault.message}`];
    return decodeResults(outcome.output).map((result, index) =>
      payloadOf(steps[index]!, generation, result).toString('utf8'),
    );
  };
  const read = (path: string) => step('astrid_read_file', text(path));

  await t.test('the layer of a session is seen by each of its capsules', async (t) => {
    await run('whole', 3, step('astrid_write_file', text('shared.txt'), text('from the first')));
    t.same(await run('second', 3, read('shared.txt')), ['from the first']);
    await run('second', 3, step('astrid_fs_unlink', text('note.txt')));
    t.match((await run('whole', 3, read('note.txt')))[0], /not_found/, 'a file of the disk, deleted');
  });

  await t.test(
    'a physical path, or a scheme of 0.4, in a manifest matches nothing, and no error tells a path of the host',
    async (t) => {
      for (const name of ['hostly', 'olden']) {
        for (const path of [
          '/etc/passwd',
          'dir/inner.txt',
          'home://x',
          'cwd://etc/passwd',
          'workspace://dir/inner.txt',
        ]) {
          const [answer = ''] = await run(name, 3, read(path));
          t.match(answer, /capability_missing/, `${name} ${path}`);
          t.notMatch(answer, /\/(home|root|tmp|var)\//, answer);
        }
      }
    },
  );

  await t.test('installed code, settings and logs are reachable by no path', async (t) => {
    const places = [
      '.local/capsules',
      '.local/log',
      '.config',
      '.config/env',
      '.local/capsules/x/y',
      '.config/env/x.json',
    ];
    const ways = (place: string) => [`home://${place}`, `home://./a/../${place}`, `home://.local/tmp/../../${place}`];
    for (const path of places.flatMap(ways)) {
      const [listed = '', written = ''] = [
        ...(await run('whole', 3, step('astrid_fs_readdir', text(path)))),
        ...(await run('whole', 3, step('astrid_write_file', text(`${path}/new.txt`), text('x')))),
      ];
      t.match(listed, /"code":"/, path);
      t.match(written, /"code":"/, path);
    }
    t.match((await run('whole', 3, step('astrid_fs_readdir', text('tmp://../capsules'))))[0], /escapes_root/);
  });

  await t.test('generations 1 and 2: a refused call ends the export, with the words of then', async (t) => {
    for (const [name, generation] of [
      ['one', 1],
      ['two', 2],
    ] as const) {
      // Of these calls, reading has a status byte in generation 2.
      const ended = (code: string) => (generation === 1 ? `^ended: ${code}: ` : '^');
      const answer = async (of: string, ...steps: Step[]) => (await run(of, generation, ...steps))[0];
      t.match(
        await answer(`${name}-bare`, read('note.txt')),
        new RegExp(`${ended('capability_missing')}security denied read_file: `),
      );
      t.match(await answer(name, read('../x')), new RegExp(`${ended('escapes_root')}path escapes root boundary: `));
      t.match(
        await answer(name, step('astrid_kv_set', text(''), text('x'))),
        /^ended: invalid_argument: kv_set failed: /,
      );
      t.match(await answer(name, step('astrid_ipc_poll', text('7'))), /^ended: bad_handle: /);
      t.match(await answer(name, read('dir/inner.txt')), /^inner$/, 'and the capsule goes on');
    }
    t.match((await run('whole', 3, read('../x'), read('dir/inner.txt')))[1], 'inner', 'generation 3 goes on');
  });

  await t.test(
    'a capsule that is stopped while it waits gets its answer, and may save before its process ends',
    async (t) => {
      const outcome = run(
        'second',
        3,
        step('astrid_ipc_subscribe', text('conform.v1.never')),
        step('astrid_ipc_recv', text('1'), text('60000')),
        step('astrid_kv_set', text('saved'), text('"in time"')),
      );
      const process = bench.processOf('second');
      while (!process.toRow().waitsOn.startsWith('ipc_recv')) await new Promise((resolve) => setImmediate(resolve));
      await process.restart();
      t.notMatch(await outcome, [/^ended: timed_out/]);
      t.match(await run('second', 3, step('astrid_kv_get', text('saved'))), [/in time/]);
    },
  );

  await t.test('abi = 1 of SDK 0.5.0: no status byte, and settings without quotes', async (t) => {
    const config = step('astrid_get_config', text('GREETING'));
    t.same(await run('stated', 1, config, read('dir/inner.txt')), ['hello', 'inner']);
  });

  await t.test('a handle with many zeros in front is its number', async (t) => {
    const [handle = '', polled = ''] = await run(
      'whole',
      3,
      step('astrid_ipc_subscribe', text('conform.v1.zeros')),
      step('astrid_ipc_poll', text('0000000001')),
    );
    t.equal(handle, '1');
    t.match(polled, /"messages":\[\]/);
  });
});

test('what the page says of failing handlers, and of hooks of an install', async (t) => {
  const kernel = await startKernel([
    { name: 'fails', restart: 'always', body: '(unreachable)' },
    {
      name: 'installs',
      calls: { astrid_read_file: { params: 1, result: true } },
      data: { 64: 'note.txt' },
      more: TELL,
      exports: { astrid_install: `${callAndLog('astrid_read_file', 64, 'note.txt')} (i32.const 0)` },
      manifest: HEARS_PROMPTS,
    },
  ]);
  t.teardown(kernel.end);
  const client = await kernel.connect();
  t.teardown(() => client.close());
  const workspace = join(kernel.home, '..', 'work');
  mkdirSync(workspace, { mode: 0o700 });
  writeFileSync(join(workspace, 'note.txt'), 'note');
  const { id, say } = await openSession(client, workspace);
  const [failed] = await hear(client, id, ['astrid.v1.delivery.failed'], 1, () => say('go'));
  t.match(failed?.payload, { data: { topic: 'user.v1.prompt', capsule_id: 'fails', code: 'crashed' } });
  await waitForLog(client, 'fails', /handling user\.v1\.prompt failed: crashed/);
  await kernel.kernel.lifecycle.runLifecycle({ principal: 'default', capsule: 'installs', kind: 'install' });
  t.match((await waitForLog(client, 'installs', /fs_read/)).message, /capability_missing/);
});
