import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Test, test } from 'tap';
import type { Base } from '../../supervisor/vfs/base-identity.js';
import { BaseRecords } from '../../supervisor/vfs/base-records.js';
import { openRoot } from '../../supervisor/vfs/held-dir.js';
import { turnsDuring } from '../kit/turns.js';

const WAS: Base = {
  kind: 'file',
  size: '3',
  mtimeNs: '-5',
  ctimeNs: '1700000000000000001',
  ino: '18446744073709551615',
  dev: '1',
  mode: 0o644,
  sha256: null,
  target: null,
};

function makeDir(t: Test): { open(): Promise<BaseRecords>; log: string } {
  const dir = mkdtempSync(join(tmpdir(), 'astrid-vfs-'));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  return { open: async () => BaseRecords.open(await openRoot(dir, 'meta')), log: join(dir, 'base.jsonl') };
}

test('records, after a restart, are what they were', async (t) => {
  const { open } = makeDir(t);
  const first = await open();
  await first.record('a', WAS);
  await first.record('d/b\n"c"', null);
  await first.record('d/x', null);
  await first.record('dx', null);
  await first.record('gone', WAS);
  await first.forget('gone');
  await first.forget('d', true);
  await first.record('d/b\n"c"', null);
  await first.hide('h');
  await first.hide('i');
  await first.shown('i');
  await first.temp('t');
  await first.close();
  const second = await open();
  t.same(second.get('a'), WAS);
  t.equal(second.get('d/b\n"c"'), null);
  t.equal(second.get('d/x'), undefined, 'forgotten with its directory');
  t.equal(second.get('dx'), null, 'a name that only starts alike is not below it');
  t.equal(second.get('gone'), undefined);
  t.same([...second.pendingHides], ['h']);
  t.same([...second.pendingTemps], ['t']);
  await second.close();
});

test('a log that a guest fills by writing and deleting is kept short', async (t) => {
  const { open, log } = makeDir(t);
  const records = await open();
  await records.record('kept', WAS);
  for (let at = 0; at < 6_000; at++) await records.temp(`t${at}`).then(() => records.landed(`t${at}`));
  t.ok(statSync(log).size < 200_000, `${statSync(log).size} bytes for 12,000 lines`);
  await records.close();
  const again = await open();
  t.same(again.get('kept'), WAS);
  t.equal(readFileSync(log, 'utf8').split('\n').length, 2, 'opening leaves what is needed');
  await again.close();
});

test('a path in a log that could lead a walk astray is not taken', async (t) => {
  const { open, log } = makeDir(t);
  const rows = ['../x', '/etc/passwd', 'a//b', '.', 'a/..', ''].map((temp) => `${JSON.stringify({ temp })}\n`);
  writeFileSync(log, rows.join(''));
  const records = await open();
  t.same([...records.pendingTemps], []);
  await records.close();
});

test('many records, when they are read and when they are written anew, let others have their turn', async (t) => {
  const { open, log } = makeDir(t);
  const count = 20_000;
  const lines = Array.from({ length: count }, (_, at) => `${JSON.stringify({ base: `dir/${at}`, was: null })}\n`).join(
    '',
  );
  for (const [what, torn, least] of [
    ['read', '', count / 1024],
    ['read and written', '{"torn', (2 * count) / 1024],
  ] as const) {
    writeFileSync(log, lines + torn);
    const turns = await turnsDuring(async () => {
      const records = await open();
      t.equal(records.get(`dir/${count - 1}`), null);
      await records.close();
    });
    t.ok(turns >= Math.floor(least), `${what}: ${turns} turns`);
    t.equal(readFileSync(log, 'utf8') === lines, true, 'the same lines');
  }
});
