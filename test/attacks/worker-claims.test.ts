import { Duplex, PassThrough } from 'node:stream';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { test } from 'tap';
import { Fault } from '../../abi/errno.js';
import { LIMITS } from '../../abi/limits.js';
import { syscallByName } from '../../abi/table.js';
import { FROM_WORKER } from '../../abi/worker-protocol.js';
import { encodeFrame } from '../../bus/frame.js';
import { type LinkHandlers, WorkerLink } from '../../supervisor/proc/worker-link.js';

/** A link in the middle of an invocation, and the hostile worker's pen. */
async function openLink(handlers: Partial<LinkHandlers>) {
  const toSupervisor = new PassThrough({ highWaterMark: 1 << 26 });
  const toWorker = new PassThrough({ highWaterMark: 1 << 26 });
  const channel = Duplex.from({ readable: toSupervisor, writable: toWorker });
  const worker = {
    pid: 1,
    tier: 'jail',
    channel,
    stderr: new PassThrough(),
    exited: new Promise<never>(() => undefined),
    kill: () => undefined,
  } as const;
  const nothing = () => undefined;
  const link = new WorkerLink(worker, {
    onCall: nothing,
    onLog: nothing,
    onReady: nothing,
    onViolation: nothing,
    ...handlers,
  });
  const write = async (value: unknown) => {
    toSupervisor.write(encodeFrame(value));
    for (let turn = 0; turn < 5; turn++) await nextTurn();
  };
  const load = {
    wasm: Buffer.alloc(8),
    generation: 3,
    memoryPages: 1,
    blockBytesMax: 1,
    config: {},
    handles: [],
    logLevel: 'info',
  } as const;
  const loaded = link.load(load);
  await write([FROM_WORKER.loaded, { exports: [] }]);
  await loaded;
  void link.invoke('run', Buffer.alloc(0), null);
  return { link, write, load };
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
  const { link } = await openLink({});
  const worker = {
    pid: 1,
    tier: 'jail',
    channel: Duplex.from({ readable: new PassThrough(), writable: new PassThrough({ highWaterMark: 1 << 26 }) }),
    stderr: new PassThrough(),
    exited: new Promise<never>(() => undefined),
    kill: () => undefined,
  } as const;
  link.abandon(new Fault('cancelled', 'the test is over'));
  const nothing = () => undefined;
  const fresh = new WorkerLink(worker, {
    onCall: nothing,
    onLog: nothing,
    onReady: nothing,
    onViolation: nothing,
  });
  const refused = await Promise.race([
    fresh
      .load({
        wasm: Buffer.alloc(LIMITS.moduleBytesMax - 1024),
        generation: 3,
        memoryPages: 1,
        blockBytesMax: 1,
        config: {},
        handles: [],
        logLevel: 'info',
      })
      .catch((fault: Fault) => fault.code),
    nextTurn('sent'),
  ]);
  t.equal(refused, 'sent');
});
