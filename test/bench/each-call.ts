import { type Figure, figureOf } from './figures.js';
import { blockAt, dropCall, type TimedCall, timeInGuest } from './guest-timing.js';

interface CallRow extends TimedCall {
  readonly name: string;
  readonly imports: readonly (readonly [name: string, params: number])[];
  /** WAT of its import, when it is none of the kernel's. */
  readonly wasi?: string;
  readonly note: string;
}

const KEY = 64;
const VALUE = 1024;
const SMALL = 80;
const LARGE = 96;
/** Where WASI writes its answers, and 48 bytes that nothing writes to. */
const OUT = 512;
const ZEROES = 640;
const ROUNDS = 3;

const local = (name: string, call: string, args: readonly string[] = []): CallRow => ({
  name,
  imports: [[call, args.length]],
  call: dropCall(call, ...args),
  rounds: 10_000,
  note: 'answered in the worker',
});

const typeOf = (value: number | bigint) => (typeof value === 'bigint' ? 'i64' : 'i32');

const wasi = (name: string, call: string, ...args: readonly (number | bigint)[]): CallRow => ({
  name,
  imports: [],
  // Imported under a name of its own: the guest that times has the clock already.
  wasi: `(import "wasi_snapshot_preview1" "${call}" (func $timed_${call} (param ${args.map(typeOf).join(' ')}) (result i32)))`,
  call: `(drop (call $timed_${call} ${args.map((value) => `(${typeOf(value)}.const ${value})`).join(' ')}))`,
  rounds: 10_000,
  note: 'WASI, answered in the worker',
});

/** Every call that is answered in the worker, but for `proc_exit`, which ends the guest. */
const LOCAL: readonly CallRow[] = [
  local('clock_ms', 'astrid_clock_ms'),
  local('get_config', 'astrid_get_config', [blockAt(KEY, 3)]),
  local('get_caller', 'astrid_get_caller'),
  local('get_interceptor_handles', 'astrid_get_interceptor_handles'),
  local('log, below the level', 'astrid_log', [blockAt(40, 5), blockAt(KEY, 3)]),
  wasi('random_get, 32 B', 'random_get', OUT, 32),
  wasi('clock_time_get', 'clock_time_get', 1, 0n, OUT),
  wasi('clock_res_get', 'clock_res_get', 1, OUT),
  wasi('args_sizes_get', 'args_sizes_get', OUT, OUT + 4),
  wasi('args_get', 'args_get', OUT, OUT),
  wasi('environ_sizes_get', 'environ_sizes_get', OUT, OUT + 4),
  wasi('environ_get', 'environ_get', OUT, OUT),
  wasi('fd_fdstat_get', 'fd_fdstat_get', 1, OUT),
  wasi('sched_yield', 'sched_yield'),
  // A subscription of zeroes: the clock, and no wait at all.
  wasi('poll_oneoff, no wait', 'poll_oneoff', ZEROES, OUT, 1, OUT + 32),
];
const FURTHER: readonly CallRow[] = [
  {
    name: 'log, one line',
    imports: [['astrid_log', 2]],
    call: dropCall('astrid_log', blockAt(16, 4), blockAt(KEY, 3)),
    // Few: what is waited for is found among the last hundred lines.
    rounds: 25,
    note: 'sent, not waited for',
  },
  {
    name: 'signal_ready',
    imports: [['astrid_signal_ready', 0]],
    call: dropCall('astrid_signal_ready'),
    rounds: 1_000,
    note: 'sent, not waited for',
  },
  {
    name: 'kv_set 256 B',
    imports: [['astrid_kv_set', 2]],
    call: dropCall('astrid_kv_set', blockAt(KEY, 3), blockAt(VALUE, 256)),
    rounds: 1_000,
    note: 'acknowledged after commit',
  },
  {
    name: 'read_file 4 KiB',
    imports: [['astrid_read_file', 1]],
    call: dropCall('astrid_read_file', blockAt(SMALL, 8)),
    rounds: 2_000,
    note: 'walked component by component',
  },
  {
    name: 'read_file 1 MiB',
    imports: [['astrid_read_file', 1]],
    call: dropCall('astrid_read_file', blockAt(LARGE, 8)),
    rounds: 200,
    note: '',
  },
];

export async function measureEachCall(): Promise<Figure[]> {
  const rows = [...LOCAL, ...FURTHER];
  const samples = await timeInGuest({
    tier: 'process',
    rounds: ROUNDS,
    imports: rows.map((row) => row.wasi ?? '').join(' '),
    calls: Object.fromEntries(
      rows.flatMap(({ imports }) => imports.map(([name, params]) => [name, { params, result: true }] as const)),
    ),
    capabilities: 'fs_read = ["cwd://"]',
    data: { 40: 'debug', [KEY]: 'key', [SMALL]: '4096.txt', [LARGE]: '1mib.txt' },
    files: { '4096.txt': 'x'.repeat(4096), '1mib.txt': 'x'.repeat(2 ** 20) },
    timed: rows,
  });
  return rows.map(({ name, note }, index) => figureOf(name, 'µs', samples[index]!, note));
}
