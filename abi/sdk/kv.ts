import { call, decodeJson, decodeText, encodeBytes, encodeJson, encodeText } from './call.js';

/**
 * Durable values of this capsule, one namespace per principal: the principal of the running invocation, never chosen by
 * the capsule. Keys are non-empty, without NUL, at most 4 KiB; a value is at most 1 MiB (`too_large`); a write is
 * committed when the call returns. Throws SystemError `invalid_argument`, `too_large`; a change also `no_space`, `io_error` (it is
 * not known to be on disk), `rate_limited` (too many writes wait), and `set` `quota_exceeded`.
 */

/** The value, or undefined. A value of zero bytes cannot be told from none (ABI reference 1.4). */
export function get(key: string): Uint8Array | undefined {
  const value = call('astrid_kv_get', encodeText(key));
  return value.length === 0 ? undefined : value;
}

export function set(key: string, value: string | Uint8Array): void {
  call('astrid_kv_set', encodeText(key), encodeBytes(value));
}

/** Removing what is not there is fine. */
function remove(key: string): void {
  call('astrid_kv_delete', encodeText(key));
}

export { remove as delete };

/** Full keys that begin with the prefix; an empty prefix lists all, configuration values included. */
export function list(prefix = ''): string[] {
  return decodeJson<string[]>(call('astrid_kv_list_keys', encodeText(prefix)));
}

/** Removes every key that begins with the prefix and tells how many. */
export function clear(prefix: string): number {
  return decodeJson<number>(call('astrid_kv_clear_prefix', encodeText(prefix)));
}

/** The value parsed as JSON, or undefined when the key is absent. Throws SyntaxError when it is not JSON. */
export function getJson<T = unknown>(key: string): T | undefined {
  const value = get(key);
  return value === undefined ? undefined : (JSON.parse(decodeText(value)) as T);
}

export function setJson(key: string, value: unknown): void {
  set(key, encodeJson(value));
}
