import { setImmediate as nextTurn } from 'node:timers/promises';
import { test } from 'tap';
import type { Fault } from '../../abi/errno.js';
import { LIMITS } from '../../abi/limits.js';
import { syscallByName } from '../../abi/table.js';
import { FROM_WORKER } from '../../abi/worker-protocol.js';
import { encodeFrame } from '../../bus/frame.js';
import type { LinkHandlers } from '../../supervisor/proc/worker-link.js';
import { openIdleLink, SMALL_LOAD } from '../proc/idle-link.js';

/** A link in the middle of an invocation, and the hostile worker's pen. */
async function openLink(handlers: Partial<LinkHandlers>) {
  const { link, toSupervisor } = openIdleLink(handlers);
  const write = async (value: unknown) => {
    toSupervisor.write(encodeFrame(value));
    for (let turn = 0; turn < 5; turn++) await nextTurn();
  };
  const loaded = link.load(SMALL_LOAD);
  await write([FROM_WORKER.loaded, { exports: [] }]);
  await loaded;
  void link.invoke('run', Buffer.alloc(0), null);
  return { link, write };
}

test('a worker that skips its own check, an argument beyond the bound of its row, is a violation', async (t) => {
  const violations: Fault[] = [];
  let calls = 0;
  const { write } = await openLink({ onViolation: (fault) => violations.push(fault), onCall: () => calls++ });
  const row = syscallByName('astrid_trigger_hook')!;
  await write([FROM_WORKER.call, 1, row.number, Buffer.alloc(LIMITS.triggerBytesMax + 1, 0x20)]);
  t.equal(calls, 0);
  t.equal(violations.length, 1);
});

test('a worker that sends a log line of 8 MiB, no more than the bound of a line is kept', async (t) => {
  const lengths: number[] = [];
  const { write } = await openLink({ onLog: (_level, message) => lengths.push(message.length) });
  await write([FROM_WORKER.log, 'info', 'x'.repeat(8 << 20)]);
  t.ok(
    lengths.every((length) => length <= LIMITS.logMessageBytesMax),
    `kept ${lengths}`,
  );
});

test('a module of the permitted size, loaded, fits the channel to the worker', async (t) => {
  const { link } = openIdleLink();
  const refused = await Promise.race([
    link.load({ ...SMALL_LOAD, wasm: Buffer.alloc(LIMITS.moduleBytesMax - 1024) }).catch((fault: Fault) => fault.code),
    nextTurn('sent'),
  ]);
  t.equal(refused, 'sent');
});
