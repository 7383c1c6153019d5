import { Fault } from '../../abi/errno.js';
import { LIMITS } from '../../abi/limits.js';
import type { SecretNamespace } from './secret-codec.js';

/**
 * Where secrets are kept. Guests can ask whether one is there and nothing else; `read` is for the kernel's own use of a secret
 * on a capsule's behalf and its result goes to no guest, log, argument list or audit entry.
 */
export interface SecretStore {
  has(space: SecretNamespace, key: string): Promise<boolean>;
  read(space: SecretNamespace, key: string): Promise<Buffer | null>;
  /** Resolves once it is on disk, or in the keyring. */
  set(space: SecretNamespace, key: string, value: Uint8Array): Promise<void>;
  /** False when there was none. */
  remove(space: SecretNamespace, key: string): Promise<boolean>;
  removeAll(space: SecretNamespace): Promise<void>;
}

/** @throws Fault `invalid_argument`, field `key` (ABI reference 2.8: not empty, without `:`) */
export function checkSecretKey(key: string): void {
  const expected = `expected 1 to ${LIMITS.keyBytesMax} bytes without ":" and control characters`;
  const wrong = key === '' || key.includes(':') || /\p{Cc}|\p{Surrogate}/u.test(key);
  if (wrong || Buffer.byteLength(key) > LIMITS.keyBytesMax)
    throw new Fault('invalid_argument', `key: ${expected}`, { field: 'key' });
}

/** @throws Fault; its message never holds the value */
export function checkSecretValue(value: Uint8Array): void {
  if (value.length === 0) throw new Fault('invalid_argument', 'value: a secret must not be empty', { field: 'value' });
  if (value.length > LIMITS.secretBytesMax) {
    const message = `value: a secret has at most ${LIMITS.secretBytesMax} bytes`;
    throw new Fault('too_large', message, { field: 'value' });
  }
}
