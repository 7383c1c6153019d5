import { randomFillSync } from 'node:crypto';
import { Fault } from '../abi/errno.js';
import { GuestTrap } from './results.js';

/** Error numbers of WASI preview 1. */
const ERRNO = { success: 0, badf: 8, inval: 28, nosys: 52 } as const;
const STDOUT = 1;
const STDERR = 2;
const IOVECS_MAX = 1024;
const LINE_BYTES_MAX = 64 * 1024;
const CLOCKS = 4;
const SUBSCRIPTIONS_MAX = 64;
const SLEEP_MS_MAX = 2 ** 31;
const sleeper = new Int32Array(new SharedArrayBuffer(4));

type WasiFunction = (...args: never[]) => number;

interface WasiParts {
  /** The guest's memory; it exists only after instantiation. */
  readonly memory: () => WebAssembly.Memory | undefined;
  readonly log: (level: string, message: string) => void;
  readonly now: () => number;
}

/**
 * `wasi_snapshot_preview1` that grants nothing (design section 8): clocks and random work, stdout and stderr become log
 * lines, arguments and environment are empty, `proc_exit` ends the call. Everything else answers that it does not exist.
 */
export function makeWasiShim(names: readonly string[], parts: WasiParts): Record<string, WasiFunction> {
  let last: DataView | null = null;
  const view = () => {
    const memory = parts.memory();
    if (memory === undefined)
      throw new GuestTrap(new Fault('bad_module', 'WASI needs a module that exports its memory'));
    // Memory that has grown is another buffer.
    if (last?.buffer !== memory.buffer) last = new DataView(memory.buffer);
    return last;
  };
  const served: Record<string, WasiFunction> = {
    ...makeClocks(view, parts.now),
    ...makeEmptyLists(view),
    random_get: (at: number, bytes: number) => {
      const { buffer } = view();
      if (!fits(buffer, at, bytes)) return ERRNO.inval;
      randomFillSync(new Uint8Array(buffer, at >>> 0, bytes >>> 0));
      return ERRNO.success;
    },
    fd_write: (descriptor: number, list: number, count: number, writtenAt: number) =>
      writeLines(view(), descriptor, list, count, writtenAt, parts.log),
    fd_fdstat_get: (descriptor: number, at: number) => {
      const memory = view();
      if (descriptor !== STDOUT && descriptor !== STDERR) return ERRNO.badf;
      if (!fits(memory.buffer, at, 24)) return ERRNO.inval;
      new Uint8Array(memory.buffer, at >>> 0, 24).fill(0);
      memory.setUint8(at >>> 0, 2); // a character device, so that a libc writes line by line
      return ERRNO.success;
    },
    fd_close: () => ERRNO.badf,
    fd_seek: () => ERRNO.badf,
    fd_read: () => ERRNO.badf,
    fd_prestat_get: () => ERRNO.badf,
    fd_prestat_dir_name: () => ERRNO.badf,
    sched_yield: () => ERRNO.success,
    poll_oneoff: (subscriptions: number, events: number, count: number, countAt: number) =>
      pollClocks(view(), parts.now, { subscriptions, events, count, countAt }),
    proc_exit: (code: number) => {
      throw new GuestTrap(new Fault('crashed', `the capsule called exit(${code})`));
    },
  };
  return Object.fromEntries(names.map((name) => [name, served[name] ?? (() => ERRNO.nosys)]));
}

function makeClocks(view: () => DataView, now: () => number): Record<string, WasiFunction> {
  return {
    clock_time_get: (clock: number, _precision: bigint, at: number) => {
      const memory = view();
      if (clock < 0 || clock >= CLOCKS || !fits(memory.buffer, at, 8)) return ERRNO.inval;
      memory.setBigUint64(at >>> 0, BigInt(Math.round(readClock(clock, now) * 1e6)), true);
      return ERRNO.success;
    },
    clock_res_get: (clock: number, at: number) => {
      const memory = view();
      if (clock < 0 || clock >= CLOCKS || !fits(memory.buffer, at, 8)) return ERRNO.inval;
      memory.setBigUint64(at >>> 0, 1_000_000n, true);
      return ERRNO.success;
    },
  };
}

/** Milliseconds by a clock of preview 1: 0 is the time of day, the others only count. */
function readClock(clock: number, now: () => number): number {
  return clock === 0 ? now() : performance.now();
}

/** Arguments and environment: none, zero bytes. */
function makeEmptyLists(view: () => DataView): Record<string, WasiFunction> {
  const sizes = (countAt: number, bytesAt: number) => {
    const memory = view();
    if (!fits(memory.buffer, countAt, 4) || !fits(memory.buffer, bytesAt, 4)) return ERRNO.inval;
    memory.setUint32(countAt >>> 0, 0, true);
    memory.setUint32(bytesAt >>> 0, 0, true);
    return ERRNO.success;
  };
  const nothing = () => ERRNO.success;
  return { args_sizes_get: sizes, environ_sizes_get: sizes, args_get: nothing, environ_get: nothing };
}

interface PollRequest {
  readonly subscriptions: number;
  readonly events: number;
  readonly count: number;
  readonly countAt: number;
}

/**
 * Sleeping: waits for the earliest clock subscription and reports it. Layouts are those of preview 1 (a subscription has
 * 48 bytes, an event 32). Subscriptions to descriptors answer `badf` at once, since there are none.
 */
function pollClocks(memory: DataView, now: () => number, poll: PollRequest): number {
  const { count } = poll;
  if (count < 1 || count > SUBSCRIPTIONS_MAX || !fits(memory.buffer, poll.subscriptions, count * 48))
    return ERRNO.inval;
  if (!fits(memory.buffer, poll.events, count * 32) || !fits(memory.buffer, poll.countAt, 4)) return ERRNO.inval;
  let earliest = { at: -1, waitMs: Number.POSITIVE_INFINITY, error: ERRNO.success as number, tag: 0 };
  for (let index = 0; index < count; index++) {
    const at = (poll.subscriptions >>> 0) + index * 48;
    const tag = memory.getUint8(at + 8);
    const timeoutMs = Number(memory.getBigUint64(at + 24, true)) / 1e6;
    const absolute = (memory.getUint16(at + 40, true) & 1) === 1;
    // A moment is one of the clock that is named: read by another, a monotonic one is always long past.
    const clockMs = absolute ? readClock(memory.getUint32(at + 16, true), now) : 0;
    const waitMs = tag === 0 ? Math.max(0, timeoutMs - clockMs) : 0;
    if (waitMs < earliest.waitMs) earliest = { at, waitMs, error: tag === 0 ? ERRNO.success : ERRNO.badf, tag };
  }
  // A sleeping guest is ended by a signal, so a long wait needs no bound here but the invocation's own.
  Atomics.wait(sleeper, 0, 0, Math.min(earliest.waitMs, SLEEP_MS_MAX));
  const event = poll.events >>> 0;
  new Uint8Array(memory.buffer, event, 32).fill(0);
  memory.setBigUint64(event, memory.getBigUint64(earliest.at, true), true);
  memory.setUint16(event + 8, earliest.error, true);
  memory.setUint8(event + 10, earliest.tag);
  memory.setUint32(poll.countAt >>> 0, 1, true);
  return ERRNO.success;
}

function writeLines(
  memory: DataView,
  descriptor: number,
  list: number,
  count: number,
  writtenAt: number,
  log: (level: string, message: string) => void,
): number {
  if (descriptor !== STDOUT && descriptor !== STDERR) return ERRNO.badf;
  if (count < 0 || count > IOVECS_MAX || !fits(memory.buffer, list, count * 8)) return ERRNO.inval;
  if (!fits(memory.buffer, writtenAt, 4)) return ERRNO.inval;
  const parts: Buffer[] = [];
  let total = 0;
  for (let index = 0; index < count; index++) {
    const at = memory.getUint32((list >>> 0) + index * 8, true);
    const bytes = memory.getUint32((list >>> 0) + index * 8 + 4, true);
    if (!fits(memory.buffer, at, bytes)) return ERRNO.inval;
    if (total < LINE_BYTES_MAX) parts.push(Buffer.from(memory.buffer, at, Math.min(bytes, LINE_BYTES_MAX - total)));
    total += bytes;
  }
  const text = Buffer.concat(parts).toString('utf8').trimEnd();
  if (text !== '') log(descriptor === STDERR ? 'warn' : 'info', text);
  memory.setUint32(writtenAt >>> 0, total >>> 0, true);
  return ERRNO.success;
}

function fits(buffer: ArrayBufferLike, at: number, bytes: number): boolean {
  return (at >>> 0) + (bytes >>> 0) <= buffer.byteLength;
}
