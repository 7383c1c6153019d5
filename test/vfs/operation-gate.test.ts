import { test } from 'tap';
import { OperationGate } from '../../supervisor/vfs/operation-gate.js';
import { codeOf } from './session-fixture.js';

/** An operation that stays inside until it is told to leave. */
function makeVisit(log: string[], name: string) {
  let leave: () => void = () => undefined;
  const stay = new Promise<void>((resolve) => {
    leave = resolve;
  });
  const action = async () => {
    log.push(`+${name}`);
    await stay;
    log.push(`-${name}`);
  };
  return { action, leave };
}

const settle = () => new Promise<void>((resolve) => setImmediate(resolve));

test('readers are inside together, a writer alone, and nobody overtakes', async (t) => {
  const gate = new OperationGate(2);
  const log: string[] = [];
  const visits = ['r1', 'r2', 'r3', 'w', 'r4'].map((name) => ({ name, ...makeVisit(log, name) }));
  const done = visits.map(({ name, action }) => (name === 'w' ? gate.exclusive(action) : gate.shared(action)));
  await settle();
  t.same(log, ['+r1', '+r2'], 'as many readers as the bound');
  visits[0]?.leave();
  await settle();
  t.same(log, ['+r1', '+r2', '-r1', '+r3']);
  visits[1]?.leave();
  await settle();
  t.same(log.at(-1), '-r2', 'the writer waits for the last reader, the reader behind it waits, too');
  visits[2]?.leave();
  await settle();
  t.same(log.slice(-2), ['-r3', '+w']);
  visits[3]?.leave();
  visits[4]?.leave();
  await Promise.all(done);
  t.same(log.slice(-3), ['-w', '+r4', '-r4']);
});

test('an operation that fails makes room like any other', async (t) => {
  const gate = new OperationGate(1);
  await t.rejects(gate.exclusive(() => Promise.reject(new Error('no'))));
  t.equal(await gate.shared(async () => 'in'), 'in');
});

test('a gate that closes lets those inside finish and refuses everybody else', async (t) => {
  const gate = new OperationGate(4);
  const log: string[] = [];
  const { action, leave } = makeVisit(log, 'w');
  const inside = gate.exclusive(action);
  const waiting = codeOf(gate.shared(async () => undefined));
  let closed = false;
  const closing = gate.close().then(() => {
    closed = true;
  });
  t.equal(await waiting, 'cancelled');
  t.equal(await codeOf(gate.shared(async () => undefined)), 'cancelled');
  await settle();
  t.notOk(closed, 'it is not closed while somebody is inside');
  leave();
  await inside;
  await closing;
  t.same(log, ['+w', '-w']);
});
