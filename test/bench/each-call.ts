import { type Figure, figureOf } from './figures.js';
import { blockAt, dropCall, type TimedCall, timeInGuest } from './guest-timing.js';

interface CallRow extends TimedCall {
  readonly name: string;
  readonly imports: readonly (readonly [name: string, params: number])[];
  readonly note: string;
}

const KEY = 64;
const VALUE = 1024;
const SMALL = 80;
const LARGE = 96;
const RANDOM_AT = 512;
const ROUNDS = 3;

const local = (name: string, call: string, args: readonly string[] = []): CallRow => ({
  name,
  imports: [[call, args.length]],
  call: dropCall(call, ...args),
  rounds: 10_000,
  note: 'answered in the worker',
});

/** Every call that is answered in the worker. */
const LOCAL: readonly CallRow[] = [
  local('clock_ms', 'astrid_clock_ms'),
  local('get_config', 'astrid_get_config', [blockAt(KEY, 3)]),
  local('get_caller', 'astrid_get_caller'),
  local('get_interceptor_handles', 'astrid_get_interceptor_handles'),
  local('log, below the level', 'astrid_log', [blockAt(40, 5), blockAt(KEY, 3)]),
];
const FURTHER: readonly CallRow[] = [
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
    call: dropCall('astrid_log', blockAt(16, 4), blockAt(KEY, 3)),
    // Few: what is waited for is found among the last hundred lines.
    rounds: 25,
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
    imports: '(import "wasi_snapshot_preview1" "random_get" (func $random_get (param i32 i32) (result i32)))',
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
