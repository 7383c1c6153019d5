import { call, encodeBytes, encodeText } from './call.js';

/**
 * Timers that outlive the capsule and the kernel; needs `cron = true` in `[capabilities]`, or a `[[cron]]` section. At most 32 per
 * capsule and principal, none more often than once a minute, at most 60 changes a minute.
 *
 * A firing calls the interceptor named like the timer (or `astrid_cron_trigger`, where the module exports it) with the payload, for
 * the principal who scheduled it and outside of any session. An occurrence that was missed, because nothing ran or the capsule was
 * not there, is made up for by one run. A capsule with a `run` loop is never called and cannot have timers.
 */

/**
 * Sets a timer, or replaces the one of this name. `schedule`: five cron fields (`0 2 * * *`), six with one number of seconds first,
 * `@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly`, each after an optional `TZ=Area/City ` (without it, the machine's zone); or
 * an instant with its offset (`2030-01-31T02:00:00Z`) at least 60 s ahead, which happens once. `payload`: at most 64 KiB; a handler
 * gets it parsed as JSON. Returns when it is on disk.
 * @throws SystemError `capability_missing`, `invalid_argument` (name or schedule), `too_large`, `quota_exceeded`, `rate_limited`,
 * `already_exists` (the manifest has a timer of this name), `not_supported` (run loop), `no_space` and `io_error` (it could not be
 * stored), and what the gate says.
 */
export function schedule(name: string, schedule: string, payload: unknown = null): void {
  const bytes = payload instanceof Uint8Array ? payload : encodeText(JSON.stringify(payload) ?? 'null');
  call('astrid_cron_schedule', encodeText(name), encodeText(schedule), encodeBytes(bytes));
}

/**
 * Removes a timer. One that is not there is no error: it may have happened a moment before.
 * @throws SystemError `not_supported` for a timer of the manifest; as `schedule`: `capability_missing`, `invalid_argument`,
 * `too_large`, `rate_limited`, `no_space`, `io_error`, and what the gate says.
 */
export function cancel(name: string): void {
  call('astrid_cron_cancel', encodeText(name));
}
