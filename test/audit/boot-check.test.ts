import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Test, test } from 'tap';
import type { AuditEvent } from '../../abi/audit-event.js';
import { BootAuditCheck } from '../../supervisor/audit-check.js';
import { openPool } from '../../supervisor/pool/pool.js';
import { flipByteOfLog, writeClosedLog } from './closed-log.js';

const ENTRIES = 20;

async function makeCheck(t: Test, damage: (paths: { log: string; pub: string }) => void) {
  const directory = t.testdir({ log: {} });
  const paths = { log: join(directory, 'log'), pub: join(directory, 'audit.pub') };
  const { key } = await writeClosedLog(paths.log, ENTRIES);
  writeFileSync(paths.pub, key);
  damage(paths);
  const pool = openPool();
  t.teardown(() => pool.close());
  const recorded: AuditEvent[] = [];
  const errors: string[] = [];
  const home = { auditLog: paths.log, auditPub: paths.pub, checkpoint: join(directory, 'none') };
  const logger = { info: () => undefined, error: (_: object, message: string) => void errors.push(message) };
  const check = new BootAuditCheck({ home, pool, logger, record: (make) => void recorded.push(make()) });
  return { check, pool, recorded, errors };
}

test('after boot, a log that holds, is shown as verified and its verification is an entry', async (t) => {
  const { check, recorded, errors } = await makeCheck(t, () => undefined);
  t.equal(check.state.state, 'running');
  await check.run();
  t.same(check.state, { state: 'ok', entries: ENTRIES, message: null });
  t.match(recorded, [{ action: 'audit.verify', outcome: 'done' }]);
  t.same(errors, []);
});

test('after boot, a log with a flipped byte, is shown with its first bad entry, and the supervisor lives on', async (t) => {
  const { check, recorded, errors } = await makeCheck(t, ({ log }) => flipByteOfLog(log));
  await check.run();
  t.match(check.state, { state: 'bad', message: /^entry \d+: / });
  t.match(recorded, [{ action: 'audit.verify', outcome: 'failed' }]);
  t.same(errors, ['audit log NOT verified']);
});

test('after boot, a log whose key cannot be read, is said to be unverified', async (t) => {
  const { check, recorded } = await makeCheck(t, ({ pub }) => writeFileSync(pub, 'no key'));
  await check.run();
  t.equal(check.state.state, 'failed');
  t.match(recorded, [{ outcome: 'failed' }]);
});

test('a stop while the log is being verified, leaves no entry and no error', async (t) => {
  const { check, pool, recorded, errors } = await makeCheck(t, () => undefined);
  const running = check.run();
  await pool.close();
  await running;
  t.same([recorded, errors], [[], []]);
});
