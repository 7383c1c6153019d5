import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ControlClient } from '../../cli/client.js';
import { openHome } from '../../cli/home.js';
import { bootKernel, type Kernel } from '../../supervisor/boot.js';
import { type GuestOptions, makeGuest } from '../kit/guests.js';
import { WORKER_BUNDLE } from '../kit/worker-bench.js';

export interface TestKernel {
  readonly kernel: Kernel;
  readonly home: string;
  connect(): Promise<ControlClient>;
  stop(): Promise<void>;
  /** Stops it, and boots another one over the same home. */
  again(): Promise<TestKernel>;
}

/** A whole kernel inside the test's process, with guests that ship with it. Ended and removed with `end`. */
export async function startKernel(
  guests: readonly GuestOptions[],
  options: { readonly config?: string; readonly prepare?: (home: string) => void } = {},
): Promise<TestKernel & { readonly end: () => Promise<void> }> {
  const root = mkdtempSync(join(tmpdir(), 'astrid-'));
  const home = join(root, 'home');
  const builtins = join(root, 'builtins');
  for (const path of [home, join(home, 'etc'), builtins]) {
    mkdirSync(path, { mode: 0o700 });
    chmodSync(path, 0o700);
  }
  for (const guest of guests) {
    const { manifest, wasm } = await makeGuest(guest);
    mkdirSync(join(builtins, guest.name));
    writeFileSync(join(builtins, guest.name, 'Capsule.toml'), manifest);
    writeFileSync(join(builtins, guest.name, `${guest.name}.wasm`), wasm);
  }
  writeFileSync(join(home, 'etc/config.toml'), options.config ?? '', { mode: 0o600 });
  options.prepare?.(home);
  const running = new Set<Kernel>();
  const boot = async (): Promise<TestKernel> => {
    const kernel = await bootKernel({
      home,
      version: '0.0.0',
      builtins,
      workerBundle: WORKER_BUNDLE,
      searchPath: '/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin',
      logger: { info: () => undefined, error: () => undefined },
      requestStop: () => undefined,
    });
    running.add(kernel);
    const stop = async () => {
      running.delete(kernel);
      await kernel.stop();
    };
    const connect = async () => {
      const opened = await openHome(home);
      try {
        return await ControlClient.connect(opened);
      } finally {
        await opened.close();
      }
    };
    const again = async () => {
      await stop();
      return boot();
    };
    return { kernel, home, connect, stop, again };
  };
  const end = async () => {
    for (const kernel of running) await kernel.stop();
    rmSync(root, { recursive: true, force: true });
  };
  return { ...(await boot()), end };
}

/** `$copy block`: a block of its own with the same bytes; a result is gone at the next call. */
export const COPY = `(func $copy (param $from i64) (result i64) (local $to i64) (local $i i64) (local $n i64)
  (local.set $n (call $length (local.get $from)))
  (local.set $to (call $alloc (local.get $n)))
  (block $end (loop $next
    (br_if $end (i64.ge_u (local.get $i) (local.get $n)))
    (call $store_u8 (i64.add (local.get $to) (local.get $i)) (call $load_u8 (i64.add (local.get $from) (local.get $i))))
    (local.set $i (i64.add (local.get $i) (i64.const 1)))
    (br $next)))
  (local.get $to))
  (func $say (param $block i64)
    (drop (call $astrid_log (call $block (i32.const 16) (i32.const 4)) (local.get $block))))
  (func $input (result i64) (local $to i64) (local $i i64) (local $n i64)
  (local.set $n (call $input_length))
  (local.set $to (call $alloc (local.get $n)))
  (block $end (loop $next
    (br_if $end (i64.ge_u (local.get $i) (local.get $n)))
    (call $store_u8 (i64.add (local.get $to) (local.get $i)) (call $input_load_u8 (local.get $i)))
    (local.set $i (i64.add (local.get $i) (i64.const 1)))
    (br $next)))
  (local.get $to))`;

/** Text for a data segment of a WAT module. */
export const wat = (text: string) => text.replaceAll('\\', '\\\\').replaceAll('"', '\\"');

/** The block of a text at an address. */
export const at = (address: number, text: string) =>
  `(call $block (i32.const ${address}) (i32.const ${Buffer.byteLength(text)}))`;

/** Calls a host call with one argument and logs its whole result, status byte and all. */
export const callAndSay = (name: string, address: number, text: string) =>
  `(call $say (call $copy (call $${name} ${at(address, text)})))`;
