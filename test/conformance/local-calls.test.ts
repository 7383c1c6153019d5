import { test } from 'tap';
import type { AbiGeneration } from '../../abi/manifest.js';
import { SYSCALLS } from '../../abi/table.js';
import type { LoadRequest } from '../../abi/worker-protocol.js';
import { CapsuleHost } from '../../worker/capsule-host.js';
import { SyscallClient } from '../../worker/syscall-client.js';
import { assemble, guestText } from '../kit/guest-wat.js';

/** Calls of the table that must not leave the worker, with the arguments of a case in which they have no reason to. */
const LOCAL = [
  'astrid_clock_ms',
  'astrid_get_config',
  'astrid_get_caller',
  'astrid_get_interceptor_handles',
  'astrid_log',
];

/** WASI calls that work, with arguments that are right for them. */
const WASI: Readonly<Record<string, readonly [types: string, args: string]>> = {
  random_get: ['i32 i32', '(i32.const 256) (i32.const 8)'],
  clock_time_get: ['i32 i64 i32', '(i32.const 0) (i64.const 0) (i32.const 256)'],
  clock_res_get: ['i32 i32', '(i32.const 0) (i32.const 256)'],
  args_get: ['i32 i32', '(i32.const 256) (i32.const 260)'],
  args_sizes_get: ['i32 i32', '(i32.const 256) (i32.const 260)'],
  environ_get: ['i32 i32', '(i32.const 256) (i32.const 260)'],
  environ_sizes_get: ['i32 i32', '(i32.const 256) (i32.const 260)'],
  sched_yield: ['', ''],
  // One subscription to a clock, of zero nanoseconds, at 512.
  poll_oneoff: ['i32 i32 i32 i32', '(i32.const 512) (i32.const 600) (i32.const 1) (i32.const 640)'],
  // No bytes at all: a line that would be written is the one thing that travels, one way.
  fd_write: ['i32 i32 i32 i32', '(i32.const 1) (i32.const 700) (i32.const 0) (i32.const 720)'],
};

/** A channel that only counts. */
class CountingChannel {
  readonly frames: unknown[] = [];
  write(frame: unknown): void {
    this.frames.push(frame);
  }
  read(): never {
    throw new Error('nothing is waited for');
  }
}

const request = (wasm: Uint8Array, generation: AbiGeneration): LoadRequest => ({
  wasm,
  generation,
  memoryPages: 64,
  blockBytesMax: 2 ** 20,
  config: { NAME: 'value' },
  handles: [],
  logLevel: 'info',
});

async function load(wasm: Uint8Array, generation: AbiGeneration = 3) {
  const channel = new CountingChannel();
  const host = await CapsuleHost.load(request(wasm, generation), new SyscallClient(channel as never));
  return { channel, host };
}

test('calls that need no privilege put no frame on the channel, sixteen of them', async (t) => {
  const calls = Object.fromEntries(
    LOCAL.map((name) => [name, { params: SYSCALLS.find((row) => row.name === name)!.params.length, result: true }]),
  );
  const imports = Object.entries(WASI).map(
    ([name, [types]]) =>
      `(import "wasi_snapshot_preview1" "${name}" (func $${name} ${types === '' ? '' : `(param ${types})`} (result i32)))`,
  );
  const exit = '(import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))';
  const user = {
    clock: '(drop (call $astrid_clock_ms))',
    config: '(drop (call $astrid_get_config (call $block (i32.const 16) (i32.const 4))))',
    caller: '(drop (call $astrid_get_caller))',
    handles: '(drop (call $astrid_get_interceptor_handles))',
    log: '(drop (call $astrid_log (call $block (i32.const 32) (i32.const 5)) (call $block (i32.const 16) (i32.const 4))))',
  };
  const wasi = Object.fromEntries(
    Object.entries(WASI).map(([name, [, args]]) => [name, `(return (call $${name} ${args}))`]),
  );
  const bodies: Record<string, string> = { ...user, ...wasi };
  const exports = Object.fromEntries(Object.entries(bodies).map(([name, body]) => [name, `${body} (i32.const 0)`]));
  exports['exit'] = '(call $proc_exit (i32.const 3)) (i32.const 0)';
  const wasm = await assemble(
    guestText({ calls, data: { 16: 'NAME', 32: 'debug' }, imports: [...imports, exit].join('\n'), exports }),
  );
  const { channel, host } = await load(wasm);
  for (const name of Object.keys(bodies)) {
    const result = host.invoke(name, Buffer.alloc(0), null);
    t.match(result, { kind: 'done', returnCode: 0 }, name);
  }
  t.match(host.invoke('exit', Buffer.alloc(0), null), { kind: 'trapped', fault: { code: 'crashed' } });
  t.same(channel.frames, [], 'not one frame');
  t.ok(Object.keys(bodies).length + 1 >= 16);
});

test('a log line at its level and the ready signal are sent, and not waited for', async (t) => {
  const wasm = await assemble(
    guestText({
      calls: { astrid_log: { params: 2, result: true }, astrid_signal_ready: { params: 0, result: true } },
      data: { 16: 'warn' },
      exports: {
        say: '(drop (call $astrid_log (call $block (i32.const 16) (i32.const 4)) (call $block (i32.const 16) (i32.const 4)))) (i32.const 0)',
        ready: '(drop (call $astrid_signal_ready)) (i32.const 0)',
      },
    }),
  );
  const { channel, host } = await load(wasm);
  t.match(host.invoke('say', Buffer.alloc(0), null), { kind: 'done' });
  t.match(host.invoke('ready', Buffer.alloc(0), null), { kind: 'done' });
  t.equal(channel.frames.length, 2);
});

test('the table says of each of these calls that it does not cross', (t) => {
  const crossing = SYSCALLS.filter(
    ({ name, path }) => [...LOCAL, 'astrid_signal_ready'].includes(name) && path === 'supervisor',
  );
  t.same(crossing, []);
  t.end();
});
