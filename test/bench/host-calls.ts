import { execFileSync, fork } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import createPlugin from '@extism/extism';
import { assemble, guestText } from '../kit/guest-wat.js';
import { PACKAGE_ROOT } from '../kit/package-root.js';
import { type Figure, figureOf } from './figures.js';
import { blockAt, dropCall, timeInGuest } from './guest-timing.js';

const ROUNDS = 20_000;
const WARM = 2_000;

/** The floor: two C processes on a socketpair, 16 bytes there and 272 back, as large as our frames. */
export function measurePingPong(): Figure {
  const scratch = mkdtempSync(join(tmpdir(), 'astrid-bench-'));
  try {
    const program = join(scratch, 'ping-pong');
    execFileSync('cc', ['-O2', '-o', program, join(PACKAGE_ROOT, 'test/bench/ping-pong.c')]);
    const output = execFileSync(program, [String(ROUNDS)], { encoding: 'utf8', maxBuffer: 1e8 });
    const samples = output.trim().split('\n').map(Number).slice(WARM);
    return figureOf('round trip, C socketpair', 'µs', samples, 'the floor');
  } finally {
    rmSync(scratch, { recursive: true });
  }
}

export async function measureProcessSend(): Promise<Figure> {
  const child = fork(fileURLToPath(new URL('./echo-child.js', import.meta.url)), { serialization: 'advanced' });
  const samples: number[] = [];
  const payload = Buffer.alloc(256);
  await new Promise<void>((resolve) => {
    let start = 0;
    const send = () => {
      start = performance.now();
      child.send(payload);
    };
    child.on('message', () => {
      samples.push((performance.now() - start) * 1000);
      if (samples.length < ROUNDS / 2) send();
      else resolve();
    });
    send();
  });
  child.kill();
  return figureOf('round trip, child_process.send', 'µs', samples.slice(WARM), 'what Node offers');
}

/** A guest that makes one host call per iteration and keeps the duration of each, by the clock call it is given. */
const LOOP = (call: string, count: number) => `(local.set $i (i32.const ${count}))
  (loop $more ${call} (local.set $i (i32.sub (local.get $i) (i32.const 1))) (br_if $more (local.get $i))) (i32.const 0)`;

/** Extism's own way out of the thread: `runInWorker` with a host function. One sample is a batch's mean. */
export async function measureRunInWorker(): Promise<Figure> {
  const batch = 50;
  const calls = { astrid_kv_get: { params: 1, result: true } };
  const body = LOOP('(drop (call $astrid_kv_get (call $block (i32.const 16) (i32.const 3))))', batch);
  const wasm = await assemble(guestText({ calls, data: { 16: 'key' }, exports: { go: body } }));
  const value = new Uint8Array(256);
  const plugin = await createPlugin({ wasm: [{ data: wasm }] }, {
    runInWorker: true,
    functions: {
      'extism:host/user': {
        astrid_kv_get: (context: { store(bytes: Uint8Array): bigint }) => context.store(value.slice()),
      },
    },
  } as never);
  const samples: number[] = [];
  for (let round = 0; round < 60; round++) {
    const start = performance.now();
    await plugin.call('go');
    if (round >= 10) samples.push(((performance.now() - start) * 1000) / batch);
    await plugin.reset();
  }
  await plugin.close();
  return figureOf('round trip, Extism runInWorker', 'µs', samples, 'what Extism offers; means of 50');
}

const CALLS = 20_000;
/** A supervisor that has been up for a minute has its hot paths compiled. */
const SUPERVISOR_ROUNDS = 4;
const KEY = 48;
const VALUE = 1024;

/** Our host calls end to end: real worker, real supervisor, gate and audit included; the guest times each call itself. */
export async function measureHostCalls(tier: 'process' | 'jail'): Promise<Figure[]> {
  const [clock, get] = await timeInGuest({
    tier,
    rounds: SUPERVISOR_ROUNDS,
    calls: {
      astrid_kv_get: { params: 1, result: true },
      astrid_kv_set: { params: 2, result: true },
      astrid_clock_ms: { params: 0, result: true },
    },
    data: { [KEY]: 'key' },
    before: dropCall('astrid_kv_set', blockAt(KEY, 3), blockAt(VALUE, 256)),
    timed: [
      { call: dropCall('astrid_clock_ms'), rounds: CALLS },
      { call: dropCall('astrid_kv_get', blockAt(KEY, 3)), rounds: CALLS },
    ],
  });
  return [
    figureOf(`clock, tier ${tier}`, 'µs', clock!, 'answered in the worker'),
    figureOf(`kv_get 256 B, tier ${tier}`, 'µs', get!, 'gate and audit included'),
  ];
}
