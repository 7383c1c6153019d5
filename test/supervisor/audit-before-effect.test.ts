import { test } from 'tap';
import type { AuditEvent } from '../../abi/audit-event.js';
import { Fault } from '../../abi/errno.js';
import { LIMITS } from '../../abi/limits.js';
import type { SyscallRow } from '../../abi/syscalls/row.js';
import { SYSCALLS } from '../../abi/table.js';
import { type AuditPort, Dispatcher } from '../../supervisor/dispatch.js';
import { allowed } from '../../supervisor/gate/types.js';
import type { CapsuleProcess } from '../../supervisor/proc/capsule-process.js';
import type { SyscallHandler } from '../../supervisor/syscalls/handler.js';

const actor = { principal: 'default', session: 's-1', attribution: 'user' };
const running = {
  invocation: { exportName: 'astrid_hook_trigger', actor, message: null },
  cancel: new AbortController(),
  wall: null,
};
/** What the dispatcher reads of a process. */
const capsule = {
  name: 'demo',
  endpoint: 'demo',
  sourceId: 'id',
  spec: { manifest: {} },
  running,
  setWaiting: () => undefined,
} as unknown as CapsuleProcess;

interface Ending {
  readonly answer: Buffer | Fault;
  /** In the order in which it happened. */
  readonly happened: readonly string[];
}

/** One call through a dispatcher whose gate allows it and whose effect is noted. */
function callWith(
  row: SyscallRow,
  audit: (happened: string[]) => AuditPort,
  effect?: () => never,
  process: CapsuleProcess = capsule,
): Promise<Ending> {
  const happened: string[] = [];
  const handler: SyscallHandler<never> = {
    decode: () => ({}) as never,
    resource: () => 'cwd://a.txt',
    run: () => {
      happened.push('effect');
      effect?.();
      return Buffer.from('done');
    },
  };
  const decision = allowed('manifest', 'declared');
  const dispatcher = new Dispatcher({
    handlers: { [row.name]: handler },
    gate: { decideSync: () => decision, decide: () => Promise.resolve(decision) },
    audit: audit(happened),
    now: () => 1,
    onInternal: () => undefined,
  });
  return new Promise((resolve) => {
    const args = row.params.map(() => Buffer.from('x'));
    dispatcher.handle(process, row, args, (answer) => resolve({ answer, happened }));
  });
}

const working = (happened: string[]): AuditPort => ({
  append: async (event) => {
    await Promise.resolve();
    happened.push(`appended ${event.outcome}`);
  },
  record: (make: () => AuditEvent) => void happened.push(`recorded ${make().outcome}`),
});

const unavailable = new Fault('audit_unavailable', 'the log takes nothing');
const down = (): AuditPort => ({
  append: () => Promise.reject(unavailable),
  record: () => {
    throw unavailable;
  },
});

const inSupervisor = SYSCALLS.filter(({ path }) => path === 'supervisor');
const ofClass = (audit: SyscallRow['audit']) => inSupervisor.filter((row) => row.audit === audit);

test('each call that has an effect: the log has acknowledged it before the effect, and without that there is none', async (t) => {
  t.ok(ofClass('before').length >= 10);
  for (const row of ofClass('before')) {
    t.same((await callWith(row, working)).happened, ['appended accepted', 'effect'], row.name);
    const { answer, happened } = await callWith(row, down);
    t.match(answer, { code: 'audit_unavailable' }, row.name);
    t.same(happened, [], `${row.name}: no effect`);
  }
});

test('each call that is recorded with its effect is refused, too, while the log takes nothing', async (t) => {
  for (const row of ofClass('with')) {
    t.same((await callWith(row, working)).happened, ['recorded accepted', 'effect'], row.name);
    const { answer, happened } = await callWith(row, down);
    t.match(answer, { code: 'audit_unavailable' }, row.name);
    t.same(happened, [], `${row.name}: no effect`);
  }
});

test('an effect that fails is recorded as failed', async (t) => {
  const [row] = ofClass('before');
  const fail = () => {
    throw new Fault('io_error', 'no');
  };
  const { answer, happened } = await callWith(row as SyscallRow, working, fail);
  t.match(answer, { code: 'io_error' });
  t.same(happened, ['appended accepted', 'effect', 'recorded failed']);
});

const slow = (happened: string[]): AuditPort => ({
  ...working(happened),
  readWaitMs: (capsule) => {
    happened.push(`${capsule} waits`);
    return 1;
  },
});

test('what gives out content is neither recorded nor served before its capsule has waited; nobody else waits', async (t) => {
  for (const row of inSupervisor) {
    const { happened } = await callWith(row, slow);
    t.equal(happened.includes('demo waits'), row.traced, row.name);
    if (row.traced) t.same(happened, ['demo waits', 'recorded accepted', 'effect'], row.name);
  }
  t.ok(inSupervisor.some(({ name, traced }) => name === 'astrid_read_file' && traced));
});

test('a capsule that is stopped while it waits reads nothing', async (t) => {
  const row = inSupervisor.find(({ traced }) => traced) as SyscallRow;
  running.cancel.abort();
  t.teardown(() => {
    running.cancel = new AbortController();
  });
  const { answer, happened } = await callWith(row, slow);
  t.match(answer, { code: 'cancelled' });
  t.same(happened, ['demo waits']);
});

/** A dispatcher that allows everything, how often each thing happened, and the time as it sees it. */
function openFlood(admit?: () => void) {
  const happened: string[] = [];
  const clock = { ms: 0 };
  const [row] = ofClass('before') as [SyscallRow];
  const decision = allowed('manifest', 'declared');
  const handler: SyscallHandler<never> = {
    decode: () => ({}) as never,
    resource: () => 'cwd://a.txt',
    run: () => Buffer.from('done'),
    ...(admit === undefined ? {} : { admit }),
  };
  const dispatcher = new Dispatcher({
    handlers: { [row.name]: handler },
    gate: { decideSync: () => decision, decide: () => Promise.resolve(decision) },
    audit: working(happened),
    now: () => 1,
    monotonic: () => clock.ms,
    onInternal: () => undefined,
  });
  const call = (process = capsule) => new Promise((resolve) => dispatcher.handle(process, row, [], resolve));
  const count = (what: string) => happened.filter((one) => one === what).length;
  return { call, count, clock };
}

test('a capsule that does what is logged one by one in a loop, waits past its rate, and another does not', async (t) => {
  const { auditEntriesBurstMax: burst, auditEntriesPerSecondMax: perSecond } = LIMITS;
  const { call, count, clock } = openFlood();
  const waits: string[] = [];
  const flooding = { ...capsule, setWaiting: (_: unknown, what: string) => void waits.push(what) } as CapsuleProcess;
  for (let at = 0; at < burst; at++) await call(flooding);
  t.same(waits, []);
  t.same(await call(flooding), Buffer.from('done'));
  t.same(waits, ['audit log', '']);
  const other = { ...flooding, name: 'other' } as CapsuleProcess;
  t.same(await call(other), Buffer.from('done'), 'another has its own');
  clock.ms += 1000;
  // What was taken on credit counts.
  for (let at = 0; at < perSecond - 1; at++) await call(flooding);
  t.equal(waits.length, 2);
  await call(flooding);
  t.equal(waits.length, 4);
  t.equal(count('appended accepted'), burst + perSecond + 2);
});

test('what a handler does not admit, has no entry of its own before it is refused', async (t) => {
  const { call, count } = openFlood(() => {
    throw new Fault('not_supported', 'not now');
  });
  t.match(await call(), { code: 'not_supported' });
  t.same([count('appended accepted'), count('recorded denied')], [0, 1]);
});

test("each call whose caller is gone when the log has acknowledged it, has no effect: what it names may be another capsule's by then", async (t) => {
  for (const row of ofClass('before')) {
    const process = { ...capsule, running } as { running: unknown };
    const audit = (happened: string[]): AuditPort => ({
      ...working(happened),
      append: async (event) => {
        await Promise.resolve();
        process.running = null;
        happened.push(`appended ${event.outcome}`);
      },
    });
    const { answer, happened } = await callWith(row, audit, undefined, process as unknown as CapsuleProcess);
    t.match(answer, { code: 'cancelled' }, row.name);
    t.same(happened, ['appended accepted', 'recorded failed'], row.name);
  }
});
