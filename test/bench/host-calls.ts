import { execFileSync, fork } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import createPlugin from '@extism/extism';
import { assemble, guestText } from '../kit/guest-wat.js';
import { PACKAGE_ROOT } from '../kit/package-root.js';
import { jailMissing } from '../kit/worker-bench.js';
import { type Figure, figureOfTurns, ratioOf } from './figures.js';
import { blockAt, dropCall, openTimedGuest } from './guest-timing.js';

/** One side of the comparison. All are started first; then each gets its turn, again and again. */
interface Side {
  /** Names and notes of what a turn measures. */
  readonly rows: readonly (readonly [name: string, note: string])[];
  /** @returns microseconds, the samples of each row */
  turn(): Promise<number[][]>;
  end(): void | Promise<void>;
}

/** A machine changes its pace within seconds; what is compared is measured within one. */
const TURNS = 30;
/** A supervisor that has been up for a minute has its hot paths compiled. */
const WARM_TURNS = 5;
/** So long at most is waited for quiet turns, while a virtual machine's host is busy with others. */
const WAIT_MS = 60_000;
/** A turn counts if the host took less than this share of the processors meanwhile: a call that waits for the host says nothing. */
const STOLEN_MAX = 0.02;
const ROUNDS = 3_000;
/** The first of a turn find a cold cache and a sleeping core. */
const COLD = 200;

const FLOOR = 'round trip, C socketpair';
const SEND = 'round trip, child_process.send';
const kvGet = (tier: string) => `kv_get 256 B, tier ${tier}`;

/** The floor: two C processes on a socketpair, 16 bytes there and 272 back, as large as our frames. */
function openPingPong(): Side {
  const scratch = mkdtempSync(join(tmpdir(), 'astrid-bench-'));
  const program = join(scratch, 'ping-pong');
  execFileSync('cc', ['-O2', '-o', program, join(PACKAGE_ROOT, 'test/bench/ping-pong.c')]);
  return {
    rows: [[FLOOR, 'the floor']],
    async turn() {
      const output = execFileSync(program, [String(ROUNDS)], { encoding: 'utf8', maxBuffer: 1e8 });
      return [output.trim().split('\n').map(Number).slice(COLD)];
    },
    end: () => rmSync(scratch, { recursive: true }),
  };
}

function openProcessSend(): Side {
  const child = fork(fileURLToPath(new URL('./echo-child.js', import.meta.url)), { serialization: 'advanced' });
  const payload = Buffer.alloc(256);
  return {
    rows: [[SEND, 'what Node offers']],
    async turn() {
      const samples: number[] = [];
      for (let round = 0; round < ROUNDS; round++) {
        const start = performance.now();
        const answered = new Promise<void>((resolve) => child.once('message', () => resolve()));
        child.send(payload);
        await answered;
        samples.push((performance.now() - start) * 1000);
      }
      return [samples.slice(COLD)];
    },
    end: () => void child.kill(),
  };
}

/** A guest that makes one host call per iteration. */
const LOOP = (call: string, count: number) => `(local.set $i (i32.const ${count}))
  (loop $more ${call} (local.set $i (i32.sub (local.get $i) (i32.const 1))) (br_if $more (local.get $i))) (i32.const 0)`;

/** Extism's own way out of the thread: `runInWorker` with a host function. One sample is a batch's mean. */
async function openRunInWorker(): Promise<Side> {
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
  return {
    rows: [['round trip, Extism runInWorker', 'what Extism offers; means of 50']],
    async turn() {
      const samples: number[] = [];
      for (let round = 0; round < 5; round++) {
        const start = performance.now();
        await plugin.call('go');
        samples.push(((performance.now() - start) * 1000) / batch);
        await plugin.reset();
      }
      return [samples];
    },
    end: () => plugin.close(),
  };
}

const KEY = 48;
const VALUE = 1024;

/** Our host calls end to end: real worker, real supervisor, gate and audit included; the guest times each call itself. */
async function openHostCalls(tier: 'process' | 'jail'): Promise<Side> {
  const guest = await openTimedGuest({
    tier,
    calls: {
      astrid_kv_get: { params: 1, result: true },
      astrid_kv_set: { params: 2, result: true },
      astrid_clock_ms: { params: 0, result: true },
    },
    data: { [KEY]: 'key' },
    before: dropCall('astrid_kv_set', blockAt(KEY, 3), blockAt(VALUE, 256)),
    timed: [
      { call: dropCall('astrid_clock_ms'), rounds: ROUNDS },
      { call: dropCall('astrid_kv_get', blockAt(KEY, 3)), rounds: ROUNDS },
    ],
  });
  return {
    rows: [
      [`clock, tier ${tier}`, 'answered in the worker'],
      [kvGet(tier), 'gate and audit included'],
    ],
    turn: async () => (await guest.turn()).map((samples) => samples.slice(COLD)),
    end: () => guest.end(),
  };
}

/** Ticks of all processors since boot, and those of them that a hypervisor gave to others; no ticks where none are told. */
function cpuTicks(): { all: number; stolen: number } {
  const [line = ''] = existsSync('/proc/stat') ? readFileSync('/proc/stat', 'utf8').split('\n') : [];
  const ticks = line.split(/ +/).slice(1, 9).map(Number);
  return { all: ticks.reduce((sum, count) => sum + count, 0), stolen: ticks[7] ?? 0 };
}

function stolenShare(before: ReturnType<typeof cpuTicks>, after: ReturnType<typeof cpuTicks>): number {
  return (after.stolen - before.stolen) / Math.max(1, after.all - before.all);
}

/** All sides in turns, so that one pace of the machine meets them all. */
export async function measureHostCalls(): Promise<Figure[]> {
  const sides: Side[] = [openPingPong(), openProcessSend()];
  try {
    sides.push(await openRunInWorker(), await openHostCalls('process'));
    if ((await jailMissing()) === false) sides.push(await openHostCalls('jail'));
    const turns: { readonly stolen: number; readonly samples: number[][][] }[] = [];
    const quiet = () => turns.filter(({ stolen }) => stolen < STOLEN_MAX).length;
    const end = performance.now() + WAIT_MS;
    const isDone = () => turns.length >= TURNS && (quiet() >= TURNS || performance.now() > end);
    for (let turn = 0; !isDone(); turn++) {
      const before = cpuTicks();
      const samples: number[][][] = [];
      for (const side of sides) samples.push(await side.turn());
      if (turn >= WARM_TURNS) turns.push({ stolen: stolenShare(before, cpuTicks()), samples });
    }
    console.error(`${turns.length} turns, ${quiet()} of them undisturbed by the machine's host`);
    const best = turns.toSorted((a, b) => a.stolen - b.stolen).slice(0, TURNS);
    return sides.flatMap(({ rows }, side) =>
      rows.map(([name, note], row) =>
        figureOfTurns(
          name,
          best.map(({ samples }) => samples[side]?.[row] ?? []),
          note,
        ),
      ),
    );
  } finally {
    await Promise.all(sides.map((side) => side.end()));
  }
}

/** What the aims are about. */
export function describeRatios(figures: readonly Figure[]): string[] {
  const of = (name: string) => figures.find((figure) => figure.name === name);
  const [floor, send] = [of(FLOOR), of(SEND)];
  return ['process', 'jail'].flatMap((tier) => {
    const call = of(kvGet(tier));
    if (call === undefined || floor === undefined || send === undefined) return [];
    return [
      `kv_get in tier ${tier}, times the C round trip: ${ratioOf(call, floor)}, aim ≤ 4; times process.send: ${ratioOf(call, send)}, aim < 1`,
    ];
  });
}
