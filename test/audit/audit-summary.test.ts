import { createHash } from 'node:crypto';
import { test } from 'tap';
import { digestEvent, encodeEvent } from '../../abi/audit/event.js';
import type { AuditEvent } from '../../abi/audit-event.js';
import { Fault } from '../../abi/errno.js';
import { LIMITS } from '../../abi/limits.js';
import { AuditSummary, groupResource } from '../../supervisor/audit-summary.js';
import { fc } from '../kit/property.js';
import { makeEvent } from './log-fixture.js';

interface Bench {
  readonly summary: AuditSummary;
  readonly out: AuditEvent[];
  now: number;
  full: boolean;
}

function bench(): Bench {
  const out: AuditEvent[] = [];
  const made: Bench = {
    out,
    now: 10_000,
    full: false,
    summary: new AuditSummary({
      now: () => made.now,
      emit: (event) => {
        if (made.full) throw new Fault('audit_unavailable', 'full');
        // As the client does: what cannot be encoded is not taken.
        encodeEvent(event);
        out.push(event);
      },
    }),
  };
  return made;
}

const read = (number: number, change: Partial<AuditEvent> = {}): AuditEvent =>
  makeEvent(number, { principal: 'agent', action: 'read_file', outcome: 'done', ...change });

function digestOf(events: readonly AuditEvent[]): string {
  const hash = createHash('sha256');
  for (const event of events) hash.update(Buffer.from(digestEvent(event), 'hex'));
  return hash.digest('hex');
}

const standsFor = (events: readonly AuditEvent[]): number => events.reduce((sum, event) => sum + (event.count ?? 1), 0);

test('few alike in a second pass one by one and nothing follows', (t) => {
  const { summary, out } = bench();
  const events = Array.from({ length: 8 }, (_, number) => read(number));
  for (const event of events) summary.add(event);
  summary.flushAll();
  t.strictSame(out, events);
  t.end();
});

test('many alike: the first eight pass, the rest become one summary at the end of the second', (t) => {
  const made = bench();
  const { summary, out } = made;
  const events = Array.from({ length: 500 }, (_, number) => read(number));
  for (const event of events) summary.add(event);
  summary.flushDue();
  t.equal(out.length, 8, 'the second is not over');
  made.now += 1000;
  summary.flushDue();
  t.equal(out.length, 9);
  t.strictSame(out[8], {
    ...read(499),
    resource: 'cwd://notes/*',
    argsHash: null,
    authorization: { layer: 'approval', verdict: 'allow', reason: 'done; first: allowed once', ref: 'a-1' },
    outcome: 'summary',
    count: 492,
    digest: digestOf(events.slice(8)),
  });
  t.ok(encodeEvent(out[8] as AuditEvent), 'the log takes it');
  summary.flushDue();
  t.equal(out.length, 9, 'and only once');
  t.end();
});

test('the next second begins anew, also when no timer came in between', (t) => {
  const made = bench();
  for (let number = 0; number < 20; number += 1) made.summary.add(read(number));
  made.now += 1000;
  made.summary.add(read(20));
  t.equal(made.out.length, 10);
  t.equal(made.out[8]?.count, 12);
  t.strictSame(made.out[9], read(20));
  t.end();
});

test('one event over the first eight is logged as itself', (t) => {
  const { summary, out } = bench();
  const events = Array.from({ length: 9 }, (_, number) => read(number));
  for (const event of events) summary.add(event);
  summary.flushAll();
  t.strictSame(out, events);
  t.end();
});

test('before an action of a session its summaries are logged, those of others wait', (t) => {
  const { summary, out } = bench();
  for (let number = 0; number < 20; number += 1) {
    summary.add(read(number));
    summary.add(read(number, { session: 's-2' }));
  }
  summary.flushSession('s-1');
  t.equal(out.length, 17);
  t.equal(out[16]?.session, 's-1');
  summary.add(read(21));
  t.equal(out.length, 17, 'still a flood');
  summary.flushAll();
  t.equal(standsFor(out), 41);
  t.end();
});

test('reads, denials, actions, directories, principals and capsules are told apart', (t) => {
  const { summary, out } = bench();
  const kinds: Partial<AuditEvent>[] = [
    {},
    { outcome: 'denied', authorization: { layer: 'policy', verdict: 'deny', reason: 'no', ref: null } },
    { action: 'stat' },
    { resource: 'home://x/y' },
    { principal: 'other' },
    { capsule: null },
  ];
  for (let number = 0; number < 12; number += 1) for (const kind of kinds) summary.add(read(number, kind));
  summary.flushAll();
  const summaries = out.filter((event) => event.outcome === 'summary');
  t.equal(summaries.length, kinds.length);
  t.ok(summaries.every((event) => event.count === 4));
  t.equal(summaries.filter((event) => event.authorization.verdict === 'deny').length, 1);
  t.end();
});

test('a reference that differs within a summary is left out', (t) => {
  const { summary, out } = bench();
  const by = (ref: string) => ({
    authorization: { layer: 'token' as const, verdict: 'allow' as const, reason: '', ref },
  });
  for (let number = 0; number < 11; number += 1) summary.add(read(number, by(number === 9 ? 'b' : 'a')));
  summary.flushAll();
  t.equal(out.at(-1)?.authorization.ref, null);
  t.end();
});

test('a capsule that touches a new place each time is bounded too, and coarsens nobody else', (t) => {
  const { summary, out } = bench();
  const touch = (number: number) => read(number, { action: 'fs_exists', resource: `cwd://d${number}/file` });
  for (let number = 0; number < 50_000; number += 1) summary.add(touch(number));
  for (let number = 0; number < 8; number += 1) summary.add(read(number, { capsule: 'quiet' }));
  summary.flushAll();
  t.ok(out.length < 100, `${out.length} entries`);
  t.equal(standsFor(out), 50_008);
  t.equal(out.filter((event) => event.capsule === 'quiet' && event.outcome === 'done').length, 8);
  const rest = out.find((event) => event.resource === '*');
  t.equal(rest?.capsule, 'fs', 'the catch-all still says who');
  t.equal(rest?.action, 'fs_exists', 'and what it did');
  t.end();
});

test('what gives out content is named with its directory, however many places were touched before', (t) => {
  const { summary, out } = bench();
  for (let number = 0; number < 400; number += 1)
    summary.add(read(number, { action: 'fs_exists', resource: `home://d${number}/f` }));
  for (let number = 0; number < 400; number += 1) summary.add(read(number, { resource: `home://d${number}/f` }));
  for (const name of ['id_ed25519', 'config']) summary.add(read(1, { resource: `home://.ssh/${name}` }));
  summary.add(read(1, { action: 'fs_readdir', resource: 'home://.gnupg/private' }));
  summary.flushAll();
  const rows = out.map(({ action, resource }) => `${action} ${resource}`);
  t.ok(rows.includes('read_file home://.ssh/*'), 'the directory of the two');
  t.ok(rows.includes('fs_readdir home://.gnupg/private'), 'one alone is logged as itself');
  t.notOk(rows.some((row) => row.startsWith('*') || row === 'read_file *' || row === 'fs_readdir *'));
  t.equal(standsFor(out), 803);
  t.end();
});

test('reads of so many directories are not refused here: their capsule, and no other, has to wait until some of it is made up for', (t) => {
  const made = bench();
  const { summary, out } = made;
  const dirs = LIMITS.auditReadPlacesBurst + 16;
  for (let number = 0; number < dirs; number += 1) {
    if (summary.readWaitMs('fs') !== 0) t.fail(`waits at directory ${number}`);
    summary.add(read(number, { resource: `cwd://d${number}/file` }));
  }
  const stepMs = Math.ceil(1000 / LIMITS.auditReadPlacesPerSecond);
  t.equal(summary.readWaitMs('fs'), stepMs);
  t.equal(summary.readWaitMs('quiet'), 0);
  summary.add(read(0, { resource: 'cwd://d0/file' }));
  t.equal(summary.readWaitMs('fs'), stepMs, 'a directory that is named in this second costs nothing');
  made.now += stepMs;
  t.equal(summary.readWaitMs('fs'), 0);
  summary.add(read(0, { resource: 'cwd://last/file' }));
  t.equal(summary.readWaitMs('fs'), stepMs);
  made.now -= 5000;
  t.equal(summary.readWaitMs('fs'), stepMs, 'a clock that was set back makes nobody wait longer');
  made.now += 3_600_000;
  t.equal(summary.readWaitMs('fs'), 0);
  summary.flushAll();
  t.equal(new Set(out.map(({ resource }) => resource.replace(/file$/, '*'))).size, dirs + 1);
  t.end();
});

test('a read that the policy denied gave nothing out: such a flood is bounded like any other', (t) => {
  const { summary, out } = bench();
  const authorization = { layer: 'policy', verdict: 'deny', reason: 'no', ref: null } as const;
  for (let number = 0; number < 10_000; number += 1)
    summary.add(read(number, { resource: `home://d${number}/f`, outcome: 'denied', authorization }));
  summary.flushAll();
  t.ok(out.length < 100, `${out.length} entries`);
  t.match(out.at(-1), { action: 'read_file', resource: '*', authorization: { verdict: 'deny' } });
  t.equal(summary.readWaitMs('fs'), 0);
  t.end();
});

test('very many actors in one second share a last bucket for each capsule, and no event is lost', (t) => {
  const { summary, out } = bench();
  const touch = (number: number) => read(number, { principal: `p${number}`, action: 'kv_get' });
  for (let number = 0; number < 1000; number += 1) summary.add(touch(number));
  summary.flushSession('s-1');
  t.equal(standsFor(out), 1000);
  t.ok(out.length <= 257, 'the shared ones are logged before any session acts');
  t.match(out.at(-1), { principal: 'system', capsule: 'fs', action: 'kv_get' });
  t.end();
});

test('a read is logged with its principal and its directory, however many actors there were', (t) => {
  const { summary, out } = bench();
  for (let number = 0; number < 1000; number += 1)
    summary.add(read(number, { principal: `p${number}`, action: 'kv_get' }));
  for (let number = 0; number < 3; number += 1)
    summary.add(read(number, { principal: 'victim', resource: `home://.ssh/${number}` }));
  summary.flushAll();
  t.match(
    out.find(({ action }) => action === 'read_file'),
    { capsule: 'fs', principal: 'victim', resource: 'home://.ssh/*', count: 3 },
  );
  t.equal(standsFor(out), 1003);
  t.end();
});

test('when the log takes nothing, events are refused, no summary is lost, and all goes on afterwards', (t) => {
  const made = bench();
  const { summary, out } = made;
  for (let number = 0; number < 20; number += 1) summary.add(read(number));
  made.full = true;
  summary.add(read(20));
  t.throws(() => summary.add(read(0, { action: 'stat' })), { code: 'audit_unavailable' }, 'a single one is not taken');
  t.throws(() => summary.flushSession('s-1'), { code: 'audit_unavailable' }, 'the action is denied');
  t.throws(() => summary.add(read(21)), { code: 'audit_unavailable' }, 'nothing gets past a summary that waits');
  made.now += 1000;
  summary.flushDue();
  summary.flushAll();
  t.equal(out.length, 8);
  made.full = false;
  summary.flushDue();
  t.equal(standsFor(out), 21);
  t.equal(out.length, 9);
  t.end();
});

test('an event that no log takes is refused, single or in a flood', (t) => {
  const { summary } = bench();
  t.throws(() => summary.add(read(0, { argsHash: 'short' })), { code: 'invalid_argument', field: 'argsHash' });
  for (let number = 0; number < 10; number += 1) summary.add(read(number));
  t.throws(() => summary.add(read(0, { argsHash: 'short' })), { code: 'invalid_argument', field: 'argsHash' });
  t.end();
});

test('whatever comes, whenever it is flushed, every event is stood for exactly once', (t) => {
  const step = fc.oneof(
    fc.record({
      kind: fc.constant('add' as const),
      session: fc.nat(3),
      place: fc.nat(30),
      outcome: fc.constantFrom('done', 'denied'),
    }),
    fc.record({ kind: fc.constant('wait' as const), ms: fc.nat(1500) }),
    fc.record({ kind: fc.constant('flush' as const), session: fc.nat(3) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
      const made = bench();
      let added = 0;
      for (const one of steps) {
        if (one.kind === 'wait') made.now += one.ms;
        else if (one.kind === 'flush') made.summary.flushSession(`s-${one.session}`);
        else {
          const change = {
            session: `s-${one.session}`,
            resource: `cwd://d${one.place}/x`,
            outcome: one.outcome as 'done',
          };
          made.summary.add(read(added++, change));
        }
      }
      made.summary.flushAll();
      return standsFor(made.out) === added;
    }),
    { numRuns: 100 },
  );
  t.end();
});

test('resources group by directory, topics by all but their last segment', (t) => {
  t.equal(groupResource('cwd://a/b.txt'), 'cwd://a/*');
  t.equal(groupResource('llm.v1.stream.delta'), 'llm.v1.stream.*');
  t.equal(groupResource('plain'), 'plain');
  t.equal(groupResource(''), '');
  t.end();
});
