import { execFileSync, fork } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import createPlugin from '@extism/extism';
import { assemble, guestText } from '../kit/guest-wat.js';
import { logAt, makeGuest } from '../kit/guests.js';
import { openSession, waitForNthLog } from '../kit/log-watch.js';
import { PACKAGE_ROOT } from '../kit/package-root.js';
import { startSupervisor } from '../kit/real-supervisor.js';
import { type Figure, figureOf } from './figures.js';

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
/** The engine compiles what runs often; a supervisor that has been up for a minute has done that. */
const WARM_ROUNDS = 3;
const SAMPLES_AT = 65_536;

/** Times one call many times, in nanoseconds by the WASI monotonic clock, and writes the list to a file of the workspace. */
function timingBody(call: string, file: number): string {
  const tick = (local: string) =>
    `(drop (call $clock_time_get (i32.const 1) (i64.const 0) (i32.const 8))) (local.set ${local} (i64.load (i32.const 8)))`;
  return `(local.set $i (i32.const 0))
    (loop $more
      ${tick('$a')} ${call} ${tick('$b')}
      (i32.store (i32.add (i32.const ${SAMPLES_AT}) (i32.mul (local.get $i) (i32.const 4)))
        (i32.wrap_i64 (i64.sub (local.get $b) (local.get $a))))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $more (i32.lt_u (local.get $i) (i32.const ${CALLS}))))
    (drop (call $astrid_write_file (call $block (i32.const ${file}) (i32.const 9))
      (call $block (i32.const ${SAMPLES_AT}) (i32.const ${CALLS * 4}))))`;
}

/** Our host calls end to end: real worker, real supervisor, gate and audit included; the guest times each call itself. */
export async function measureHostCalls(tier: 'process' | 'jail'): Promise<Figure[]> {
  const get = '(drop (call $astrid_kv_get (call $block (i32.const 48) (i32.const 3))))';
  const set =
    '(drop (call $astrid_kv_set (call $block (i32.const 48) (i32.const 3)) (call $block (i32.const 1024) (i32.const 256))))';
  const guest = await makeGuest({
    name: 'timed',
    pages: '8',
    imports:
      '(import "wasi_snapshot_preview1" "clock_time_get" (func $clock_time_get (param i32 i64 i32) (result i32)))',
    calls: {
      astrid_kv_get: { params: 1, result: true },
      astrid_kv_set: { params: 2, result: true },
      astrid_clock_ms: { params: 0, result: true },
      astrid_write_file: { params: 2, result: true },
    },
    data: { 48: 'key', 64: 'clock.bin', 80: 'kvget.bin' },
    manifest: `\n[capabilities]\nfs_write = ["cwd://"]\n\n[[interceptor]]\nevent = "user.v1.prompt"\naction = "go"\n`,
    body: `${set} ${timingBody('(drop (call $astrid_clock_ms))', 64)} ${timingBody(get, 80)} ${logAt(32, 5)} (i32.const 0)`,
  });
  const options = tier === 'process' ? { builtins: { timed: guest } } : { installed: { timed: guest } };
  const supervisor = await startSupervisor(options);
  try {
    const client = await supervisor.connect();
    const { id, say } = await openSession(client, supervisor.workspace, { mode: 'yolo' });
    for (let round = 1; round <= WARM_ROUNDS + 1; round++) {
      await say('go');
      await waitForNthLog(client, 'timed', /heard/, round);
    }
    const read = (file: string) => samplesOf(readFileSync(join(supervisor.home, 'var/overlay', id, 'upper', file)));
    client.close();
    return [
      figureOf(`clock, tier ${tier}`, 'µs', read('clock.bin'), 'answered in the worker'),
      figureOf(`kv_get 256 B, tier ${tier}`, 'µs', read('kvget.bin'), 'gate and audit included'),
    ];
  } finally {
    await supervisor.end();
  }
}

function samplesOf(bytes: Buffer): number[] {
  return Array.from({ length: bytes.length / 4 }, (_, index) => bytes.readUInt32LE(index * 4) / 1000);
}
