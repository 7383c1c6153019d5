import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { makeGuest } from '../kit/guests.js';
import { openSession, waitForNthLog } from '../kit/log-watch.js';
import { startSupervisor } from '../kit/real-supervisor.js';
import { type Figure, figureOf } from './figures.js';

interface TimedCall {
  readonly name: string;
  readonly imports: readonly (readonly [name: string, params: number])[];
  /** The call, dropping its result. */
  readonly call: string;
  readonly rounds: number;
  readonly note: string;
}

const KEY = 64;
const VALUE = 1024;
const SMALL = 80;
const LARGE = 96;
const RANDOM_AT = 512;
const SAMPLES_AT = 65_536;
const WARM_ROUNDS = 2;

const text = (at: number, bytes: number) => `(call $block (i32.const ${at}) (i32.const ${bytes}))`;
const one = (name: string, ...args: readonly string[]) => `(drop (call $${name} ${args.join(' ')}))`;

const local = (name: string, call: string, args: readonly string[] = []): TimedCall => ({
  name,
  imports: [[call, args.length]],
  call: one(call, ...args),
  rounds: 10_000,
  note: 'answered in the worker',
});

/** Every call that is answered in the worker. */
const LOCAL: readonly TimedCall[] = [
  local('clock_ms', 'astrid_clock_ms'),
  local('get_config', 'astrid_get_config', [text(KEY, 3)]),
  local('get_caller', 'astrid_get_caller'),
  local('get_interceptor_handles', 'astrid_get_interceptor_handles'),
  local('log, below the level', 'astrid_log', [text(40, 5), text(KEY, 3)]),
];
const FURTHER: readonly TimedCall[] = [
  {
    name: 'random, 32 B',
    imports: [],
    call: `(drop (call $random_get (i32.const ${RANDOM_AT}) (i32.const 32)))`,
    rounds: 10_000,
    note: 'WASI, answered in the worker',
  },
  {
    name: 'log, one line',
    imports: [['astrid_log', 2]],
    call: one('astrid_log', text(16, 4), text(KEY, 3)),
    // Few: what is waited for is found among the last hundred lines.
    rounds: 25,
    note: 'sent, not waited for',
  },
  {
    name: 'kv_set 256 B',
    imports: [['astrid_kv_set', 2]],
    call: one('astrid_kv_set', text(KEY, 3), text(VALUE, 256)),
    rounds: 1_000,
    note: 'acknowledged after commit',
  },
  {
    name: 'read_file 4 KiB',
    imports: [['astrid_read_file', 1]],
    call: one('astrid_read_file', text(SMALL, 8)),
    rounds: 2_000,
    note: 'walked component by component',
  },
  {
    name: 'read_file 1 MiB',
    imports: [['astrid_read_file', 1]],
    call: one('astrid_read_file', text(LARGE, 8)),
    rounds: 200,
    note: '',
  },
];

/** Each sample in nanoseconds by the monotonic clock of the guest, written to a file of the workspace. */
function timedLoop({ call, rounds }: TimedCall, file: number): string {
  const tick = (local: string) =>
    `(drop (call $clock_time_get (i32.const 1) (i64.const 0) (i32.const 8))) (local.set ${local} (i64.load (i32.const 8)))`;
  return `(local.set $i (i32.const 0))
    (loop $more${file}
      ${tick('$a')} ${call} ${tick('$b')}
      (i32.store (i32.add (i32.const ${SAMPLES_AT}) (i32.mul (local.get $i) (i32.const 4)))
        (i32.wrap_i64 (i64.sub (local.get $b) (local.get $a))))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $more${file} (i32.lt_u (local.get $i) (i32.const ${rounds}))))
    (drop (call $astrid_write_file ${text(file, 7)} ${text(SAMPLES_AT, rounds * 4)}))`;
}

export async function measureEachCall(): Promise<Figure[]> {
  const timed = [...LOCAL, ...FURTHER];
  const fileAt = (index: number) => 4096 + index * 16;
  const names = timed.map((_, index) => `t${String(index).padStart(2, '0')}.bin`);
  const calls = Object.fromEntries([
    ...timed.flatMap(({ imports }) => imports.map(([name, params]) => [name, { params, result: true }] as const)),
    ['astrid_write_file', { params: 2, result: true }] as const,
    ['astrid_log', { params: 2, result: true }] as const,
  ]);
  const wasi = (name: string, type: string) => `(import "wasi_snapshot_preview1" "${name}" (func $${name} ${type}))`;
  const guest = await makeGuest({
    name: 'timed',
    pages: '8',
    imports: `${wasi('clock_time_get', '(param i32 i64 i32) (result i32)')} ${wasi('random_get', '(param i32 i32) (result i32)')}`,
    calls,
    data: {
      40: 'debug',
      [KEY]: 'key',
      [SMALL]: '4096.txt',
      [LARGE]: '1mib.txt',
      ...Object.fromEntries(names.map((name, index) => [fileAt(index), name])),
    },
    manifest: `\n[capabilities]\nfs_read = ["cwd://"]\nfs_write = ["cwd://"]\n\n[[interceptor]]\nevent = "user.v1.prompt"\naction = "go"\n`,
    body: `${timed.map((one, index) => timedLoop(one, fileAt(index))).join('\n')}
      (drop (call $astrid_log ${text(16, 4)} ${text(32, 5)})) (i32.const 0)`,
  });
  const files = { '4096.txt': 'x'.repeat(4096), '1mib.txt': 'x'.repeat(2 ** 20) };
  const supervisor = await startSupervisor({ builtins: { timed: guest }, files });
  try {
    const client = await supervisor.connect();
    const { id, say } = await openSession(client, supervisor.workspace, { mode: 'yolo' });
    for (let round = 1; round <= WARM_ROUNDS + 1; round++) {
      await say('go');
      await waitForNthLog(client, 'timed', /heard/, round);
    }
    client.close();
    const upper = join(supervisor.home, 'var/overlay', id, 'upper');
    return timed.map(({ name, note }, index) => {
      const bytes = readFileSync(join(upper, names[index] as string));
      const samples = Array.from({ length: bytes.length / 4 }, (_, at) => bytes.readUInt32LE(at * 4) / 1000);
      return figureOf(name, 'µs', samples, note);
    });
  } finally {
    await supervisor.end();
  }
}
