import { test } from 'tap';
import { useUpDescriptors } from '../kit/short-of.js';
import { codeOf, openSession } from './session-fixture.js';

test('a kernel without a free descriptor refuses calls on files with io_error, changes nothing, and goes on later', async (t) => {
  const { guest } = await openSession(t, { 'd/a.txt': 'one', 'd/b.txt': 'two' });
  await guest.write('d/a.txt', 'changed');
  const before = await guest.tree();
  const free = await useUpDescriptors();
  const exists = await guest.exists('d/a.txt');
  const codes = {
    stat: await codeOf(guest.stat('d/a.txt')),
    readdir: await codeOf(guest.readdir('d')),
    read: await codeOf(guest.read('d/a.txt')),
    write: await codeOf(guest.write('d/a.txt', 'lost?')),
    mkdir: await codeOf(guest.mkdir('d/new')),
    unlink: await codeOf(guest.unlink('d/b.txt')),
  };
  await free();
  for (const [call, code] of Object.entries(codes)) t.equal(code, 'io_error', call);
  t.equal(exists, false, 'the one call that cannot say it (ABI reference 2.1)');
  t.same(await guest.tree(), before);
  await guest.write('d/a.txt', 'again');
  await guest.unlink('d/b.txt');
  t.same(await guest.tree(), { 'd/': '', 'd/a.txt': 'again' });
});
