/**
 * What the sandbox around a capsule's script gives without asking the kernel. Absent in test realms that have less;
 * `describe` and `sleep` are looked for before they are used.
 */
interface Sandbox {
  random(size: number): Uint8Array;
  sleep?(ms: number): void;
  describe?(thrown: unknown): string;
}

declare const __astrid_env: Sandbox;

/** The longest single sleep: what a signed 32-bit number of milliseconds holds. */
const SLEEP_MS_MAX = 0x7fffffff;

/** Blocks the whole capsule for at least so many milliseconds; at most 24.8 days, longer is cut. */
export function sleep(ms: number): void {
  const whole = Math.min(SLEEP_MS_MAX, Math.max(0, Math.ceil(ms)));
  if (__astrid_env.sleep === undefined) throw new Error('this sandbox cannot sleep');
  if (whole > 0) __astrid_env.sleep(whole);
}

/** Name, message, stack and causes of what was thrown; positions are those of the author's files. */
export function describe(thrown: unknown): string {
  const native = typeof __astrid_env === 'undefined' ? undefined : __astrid_env.describe;
  if (native !== undefined) return native(thrown);
  if (!(thrown instanceof Error)) return String(thrown);
  return `${thrown.name}: ${thrown.message}\n${thrown.stack ?? ''}`.trimEnd();
}

const PLACE = /\(?([^\s()]+:\d+:\d+)\)?$/;

/** `file:line:column` in the author's own code that a stack begins at, or undefined. */
export function placeOf(thrown: unknown): string | undefined {
  for (const line of describe(thrown).split('\n')) {
    if (!line.startsWith('    at ')) continue;
    const place = PLACE.exec(line)?.[1];
    if (place !== undefined && !/^astrid-(?:sdk|guest)\b/.test(place)) return place;
  }
  return undefined;
}
