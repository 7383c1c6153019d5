import { call, decodeJson, encodeJson } from './call.js';

/**
 * Whether a secret of this name is stored for this capsule and the calling principal. No call gives out a secret's value. The name
 * is at most 4 KiB of UTF-8, not empty, without `:`. May be called at any time.
 * @throws SystemError `invalid_argument` and `too_large` (name), `io_error` (the store cannot be read).
 */
export function has(key: string): boolean {
  return decodeJson<{ exists: boolean }>(call('astrid_has_secret', encodeJson({ key }))).exists === true;
}
