import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type GuestOptions, HEARS_PROMPTS, makeGuest, SAYS_HEARD } from '../kit/guests.js';
import { openSession, waitForNthLog } from '../kit/log-watch.js';
import { startSupervisor } from '../kit/real-supervisor.js';

/** One call of a guest that is made many times, each timed by the guest itself. */
export interface TimedCall {
  /** WAT of the call, its result dropped. */
  readonly call: string;
  /** At most 100,000: so many samples fit the guest's memory. */
  readonly rounds: number;
}

export interface TimedGuest extends Pick<GuestOptions, 'calls' | 'data' | 'imports'> {
  readonly timed: readonly TimedCall[];
  /** Lines of its `[capabilities]`, besides the samples' file. */
  readonly capabilities?: string;
  /** WAT that runs once before each round. */
  readonly before?: string;
  /** How often everything is measured; the last is kept. The engine compiles what runs often. */
  readonly rounds: number;
  readonly tier: 'process' | 'jail';
  readonly files?: Readonly<Record<string, string>>;
  readonly config?: string;
}

const NAME = 'timed';
const FILE_BYTES = 7;
const FILES_AT = 4096;
const SAMPLES_AT = 65_536;

const fileName = (index: number) => `t${String(index).padStart(2, '0')}.bin`;
const fileAt = (index: number) => FILES_AT + index * 16;
const CLOCK =
  '(import "wasi_snapshot_preview1" "clock_time_get" (func $clock_time_get (param i32 i64 i32) (result i32)))';

/** WAT: a block of the guest's memory as an argument of a host call. */
export const blockAt = (at: number, bytes: number) => `(call $block (i32.const ${at}) (i32.const ${bytes}))`;

/** WAT: a host call whose result nobody needs. */
export const dropCall = (name: string, ...args: readonly string[]) => `(drop (call $${name} ${args.join(' ')}))`;

/** Nanoseconds by the WASI monotonic clock, written to a file of the workspace when all rounds are done. */
function timedLoop({ call, rounds }: TimedCall, index: number): string {
  const tick = (local: string) =>
    `(drop (call $clock_time_get (i32.const 1) (i64.const 0) (i32.const 8))) (local.set ${local} (i64.load (i32.const 8)))`;
  return `(local.set $i (i32.const 0))
    (loop $more${index}
      ${tick('$a')} ${call} ${tick('$b')}
      (i32.store (i32.add (i32.const ${SAMPLES_AT}) (i32.mul (local.get $i) (i32.const 4)))
        (i32.wrap_i64 (i64.sub (local.get $b) (local.get $a))))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $more${index} (i32.lt_u (local.get $i) (i32.const ${rounds}))))
    ${dropCall('astrid_write_file', blockAt(fileAt(index), FILE_BYTES), blockAt(SAMPLES_AT, rounds * 4))}`;
}

/** A guest that waits for its turns, in a real worker of a real supervisor, gate and audit included. */
export interface TimedTurns {
  /** Measures everything once. @returns microseconds: the samples of each call, in the order that `timed` has */
  turn(): Promise<number[][]>;
  end(): Promise<void>;
}

export async function openTimedGuest(options: Omit<TimedGuest, 'rounds'>): Promise<TimedTurns> {
  const { timed, capabilities = '', before = '' } = options;
  const guest = await makeGuest({
    name: NAME,
    pages: '8',
    imports: `${CLOCK} ${options.imports ?? ''}`,
    calls: { ...options.calls, astrid_write_file: { params: 2, result: true } },
    data: { ...options.data, ...Object.fromEntries(timed.map((_, index) => [fileAt(index), fileName(index)])) },
    manifest: `\n[capabilities]\nfs_write = ["cwd://"]\n${capabilities}\n${HEARS_PROMPTS}`,
    body: `${before} ${timed.map(timedLoop).join('\n')} ${SAYS_HEARD}`,
  });
  const capsules = { [NAME]: guest };
  const supervisor = await startSupervisor({
    ...(options.tier === 'process' ? { builtins: capsules } : { installed: capsules }),
    ...(options.files && { files: options.files }),
    ...(options.config && { config: options.config }),
  });
  const client = await supervisor.connect();
  const { id, say } = await openSession(client, supervisor.workspace, { mode: 'yolo' });
  let turns = 0;
  return {
    async turn() {
      turns += 1;
      await say('go');
      await waitForNthLog(client, NAME, /heard/, turns);
      // The guest drops what it is answered; a call that fails inside the kernel must not pass for a fast one.
      const trouble = supervisor.log.find((line) => line.includes('"level":50'));
      if (trouble !== undefined) throw new Error(`measured while something failed: ${trouble}`);
      return timed.map((_, index) =>
        samplesOf(readFileSync(join(supervisor.home, 'var/overlay', id, 'upper', fileName(index)))),
      );
    },
    async end() {
      client.close();
      await supervisor.end();
    },
  };
}

/** @returns the samples of the last round, as {@link TimedTurns.turn} has them */
export async function timeInGuest({ rounds, ...options }: TimedGuest): Promise<number[][]> {
  const guest = await openTimedGuest(options);
  try {
    let samples: number[][] = [];
    for (let round = 0; round < rounds; round++) samples = await guest.turn();
    return samples;
  } finally {
    await guest.end();
  }
}

function samplesOf(bytes: Buffer): number[] {
  return Array.from({ length: bytes.length / 4 }, (_, index) => bytes.readUInt32LE(index * 4) / 1000);
}
