import { call, decodeJson, encodeJson } from './call.js';

/**
 * Whether a secret of this name is stored. No call gives out a secret's value. The name is at most 4 KiB, without `:`.
 * Not served by version 0.1: a capsule that uses this does not load there.
 */
export function has(key: string): boolean {
  return decodeJson<{ exists: boolean }>(call('astrid_has_secret', encodeJson({ key }))).exists === true;
}
