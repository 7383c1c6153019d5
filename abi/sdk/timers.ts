import { addTimer, removeTimer } from './event-loop.js';

/**
 * The timers of the web, as globals. They fire while an invocation awaits something (`await` in a handler, or a `run` that
 * awaits), never in between: the capsule is not running then. What is left when a handler is done is dropped. Delays are
 * milliseconds, at most 24.8 days. A callback that throws fails the invocation; in `run` it ends the loop.
 * For work at a certain time of day use `astrid/sdk/cron`.
 */
type Callback<A extends unknown[]> = (...args: A) => void;

function requireCallback(callback: unknown): void {
  if (typeof callback !== 'function') throw new TypeError('a timer takes a function; source text is not supported');
}

export function setTimeout<A extends unknown[]>(callback: Callback<A>, ms = 0, ...args: A): number {
  requireCallback(callback);
  return addTimer(() => callback(...args), ms, false);
}

export function setInterval<A extends unknown[]>(callback: Callback<A>, ms = 0, ...args: A): number {
  requireCallback(callback);
  return addTimer(() => callback(...args), ms, true);
}

export function clearTimeout(id?: number): void {
  removeTimer(id);
}

export function clearInterval(id?: number): void {
  removeTimer(id);
}
