import type { QuickJS } from 'quickjs-wasi';
import { test } from 'tap';
import { closeGuestBundler } from '../kit/guest-bundle.js';
import { GuestKernel } from '../kit/guest-kernel.js';
import { QuickRealm } from '../kit/quick-realm.js';

const ALL = ['session', 'router', 'fs', 'provider-offline', 'react'];

const PROMPTS = [
  'list the files here',
  'read grüße.txt then append " 😀" to grüße.txt then read "grüße.txt"',
  'search for "WORLD" in src; replace "world" with "$&" in src/b.ts',
  'write “two words” to new/file.txt',
  'move new/file.txt to x then delete missing',
  'read bin',
  'help',
  'sing a song',
  'who are you?',
];

/** One conversation, and everything that was published in it. */
async function converse(vms: readonly QuickJS[] | null): Promise<unknown> {
  const free = [...(vms ?? [])];
  const kernel = await GuestKernel.boot(ALL, {
    ...(vms === null
      ? {}
      : { makeRealm: (script, host, options) => new QuickRealm(free.pop()!, script, host, options) }),
  });
  kernel.files.write('cwd://grüße.txt', 'schöne Grüße\n');
  kernel.files.write('cwd://src/b.ts', 'hello world\nHELLO WORLD\n');
  kernel.files.write('cwd://bin', Buffer.from([0, 255]));
  for (const words of PROMPTS) {
    kernel.prompt('s1', words);
    kernel.run();
  }
  const logs = ALL.map((name) => kernel.capsule(name).logs);
  const actions = ALL.map((name) => kernel.capsule(name).realm.readGlobal('__astrid_actions'));
  return { published: kernel.published, logs, actions, files: [...kernel.files.entries] };
}

test('a conversation in the engine that capsules are built for, the same messages as in this one', async (t) => {
  const vms = await Promise.all(ALL.map(() => QuickRealm.create()));
  const quick = await converse(vms);
  for (const vm of vms) vm.dispose();
  t.same(quick, await converse(null));
});

test('end', async () => closeGuestBundler());
