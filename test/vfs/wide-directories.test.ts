import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Test, test } from 'tap';
import { LIMITS } from '../../abi/limits.js';
import { ENTRY_BYTES, measureTreeBytes } from '../../supervisor/vfs/quota.js';
import { codeOf, openSession } from './session-fixture.js';

const MOST = 3;

/** The real bound takes longer to fill than a test may. */
function lowerBound(t: Test): void {
  t.intercept(LIMITS, 'directoryEntriesMax', { value: MOST });
}

test('a directory of as many entries as there may be is listed, and one of more is refused', async (t) => {
  const { guest, workspace, options } = await openSession(t, { 'd/1': '', 'd/2': '', 'd/3': '' });
  await guest.mkdir('home://h');
  for (const name of ['1', '2', '3']) await guest.write(`home://h/${name}`, '');
  lowerBound(t);
  t.same(await guest.readdir('d'), ['1', '2', '3']);
  t.same(await guest.readdir('home://h'), ['1', '2', '3']);
  writeFileSync(join(workspace, 'd/4'), '');
  writeFileSync(join(options.homeDir, 'h/4'), '');
  for (const path of ['d', 'home://h']) {
    t.equal(await codeOf(guest.readdir(path)), 'too_large', path);
    await t.rejects(guest.readdir(path), { message: /is a directory of more than 3 entries/ });
    t.equal(await codeOf(guest.read(`${path}/4`)), 'ok', 'what is in it can be read');
    t.equal(await codeOf(guest.write(`${path}/1`, 'x')), 'ok', 'and written');
    t.equal(await codeOf(guest.unlink(`${path}/4`)), 'ok', 'and removed');
  }
  t.same(await guest.readdir('home://h'), ['1', '2', '3'], 'then it is listed again');
});

test('what a principal stores is measured, however many entries a directory has', async (t) => {
  const { guest, options } = await openSession(t);
  await guest.mkdir('home://h');
  for (const name of ['1', '2', '3', '4']) await guest.write(`home://h/${name}`, 'x');
  const before = await measureTreeBytes(options.homeDir);
  t.ok(before >= 5 * ENTRY_BYTES + 4);
  lowerBound(t);
  t.equal(await measureTreeBytes(options.homeDir), before);
});
