import { call, decodeText, encodeText } from './call.js';

/**
 * A configuration value: a name of the manifest's `[env]`, or `ASTRID_SOCKET_PATH`. Fixed when the capsule was loaded: what was set
 * for it, else, when there is no choice to make, the manifest's default, else nothing.
 * A value that is absent and one that is empty look alike (ABI reference 1.4), so both give the fallback. Values that
 * are not text come as JSON. A secret's value is never given out this way.
 * @throws SystemError `too_large` for a name of more than 4 KiB.
 */
export function get(name: string): string | undefined;
export function get(name: string, fallback: string): string;
export function get(name: string, fallback?: string): string | undefined {
  const value = decodeText(call('astrid_get_config', encodeText(name)));
  return value === '' ? fallback : value;
}
