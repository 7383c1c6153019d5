import { sleep } from './sandbox.js';

/**
 * Timers, and what waits for them. The sandbox calls `__astrid_idle` when an invocation is not done and no promise job is
 * left: the loop then waits for the next timer (or for a message, see `loop.ts`), runs what is due and answers true.
 * So `await` on a timer works in every handler, and a `run` that awaits goes on for ever.
 */
interface LoopGlobals {
  __astrid_idle?: () => boolean;
  __astrid_settled?: () => void;
}

interface Timer {
  readonly id: number;
  readonly callback: () => void;
  /** Null: once. */
  readonly everyMs: number | null;
  dueMs: number;
}

/** Waits at most so long (infinity: as long as it takes) and tells whether anything came; sleeping is the plainest. */
type Waiter = (ms: number) => boolean;

/** As in browsers and Node: a longer delay is taken for 1 ms there, which hides a mistake; here it is cut. */
const DELAY_MS_MAX = 0x7fffffff;

const timers = new Map<number, Timer>();
const cleanups = new Set<() => void>();
let lastId = 0;
let waiter: Waiter | undefined;
let ranTimer = false;

function hook(): void {
  const globals = globalThis as LoopGlobals;
  if (globals.__astrid_idle !== undefined) return;
  globals.__astrid_idle = turn;
  globals.__astrid_settled = settle;
}

/** One turn: runs a timer that is due, or waits for the next. False when nothing is awaited. */
function turn(): boolean {
  // Not twice in a row: timers that are always due would keep messages away for ever.
  ranTimer = !ranTimer && runDue();
  if (ranTimer) return true;
  const next = nextDueMs();
  if (waiter !== undefined) {
    waiter(next === undefined ? Number.POSITIVE_INFINITY : Math.max(0, next - Date.now()));
    runDue();
    return true;
  }
  if (next === undefined) return false;
  sleep(next - Date.now());
  runDue();
  return true;
}

function nextDueMs(): number | undefined {
  let next: number | undefined;
  for (const { dueMs } of timers.values()) if (next === undefined || dueMs < next) next = dueMs;
  return next;
}

/** The earliest timer that is due, one at a time: promise jobs run between two callbacks, as authors expect. */
function runDue(): boolean {
  const now = Date.now();
  let first: Timer | undefined;
  for (const timer of timers.values()) {
    if (timer.dueMs <= now && (first === undefined || timer.dueMs < first.dueMs)) first = timer;
  }
  if (first === undefined) return false;
  if (first.everyMs === null) timers.delete(first.id);
  else first.dueMs = now + first.everyMs;
  first.callback();
  return true;
}

/** What an invocation left behind must not run in the next one, which may be another principal's. */
function settle(): void {
  timers.clear();
  for (const cleanup of cleanups) cleanup();
  cleanups.clear();
}

export function addTimer(callback: () => void, delayMs: number, repeat: boolean): number {
  hook();
  const ms = Math.min(DELAY_MS_MAX, Math.max(repeat ? 1 : 0, Number.isFinite(delayMs) ? Math.ceil(delayMs) : 0));
  const timer = { id: ++lastId, callback, everyMs: repeat ? ms : null, dueMs: Date.now() + ms };
  timers.set(timer.id, timer);
  return timer.id;
}

export function removeTimer(id: unknown): void {
  timers.delete(Number(id));
}

/** Replaces sleeping by waiting for messages; undefined: sleep again. */
export function setWaiter(wait: Waiter | undefined): void {
  hook();
  waiter = wait;
}

/** Called once when the running invocation ends. Gives the function that takes it back. */
export function onInvocationEnd(cleanup: () => void): () => void {
  hook();
  cleanups.add(cleanup);
  return () => cleanups.delete(cleanup);
}
