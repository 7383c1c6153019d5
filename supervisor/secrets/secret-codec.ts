import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto';
import { Fault } from '../../abi/errno.js';

/**
 * The file of one capsule's secrets:
 *
 *   magic "ASTRIDS1" (8) │ nonce (12) │ AES-256-GCM of the JSON object name → base64 value │ tag (16)
 *
 * The key is derived from the home's key for this principal and capsule (HKDF-SHA-256), and both names are in the additional
 * data: a file under another capsule's name does not open. A fresh random nonce at each write; under a key of one file that
 * is safe for far more writes than a disk sees. That an older version was put back in its place cannot be told.
 */
const MAGIC = Buffer.from('ASTRIDS1');
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
export const MASTER_KEY_BYTES = 32;
const HEAD_BYTES = MAGIC.length + NONCE_BYTES;

export interface SecretNamespace {
  readonly principal: string;
  readonly capsule: string;
}

export function sealSecrets(
  master: Uint8Array,
  space: SecretNamespace,
  secrets: ReadonlyMap<string, Uint8Array>,
): Buffer {
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv('aes-256-gcm', deriveKey(master, space), nonce);
  cipher.setAAD(bind(space));
  const rows = [...secrets].map(([key, value]) => [key, Buffer.from(value).toString('base64')]);
  const body = Buffer.concat([cipher.update(JSON.stringify(rows)), cipher.final()]);
  return Buffer.concat([MAGIC, nonce, body, cipher.getAuthTag()]);
}

/** @throws Fault `io_error` for a file that is not exactly what was written for this principal and capsule with this key */
export function openSecrets(master: Uint8Array, space: SecretNamespace, file: Uint8Array): Map<string, Buffer> {
  const bytes = Buffer.from(file);
  if (bytes.length < HEAD_BYTES + TAG_BYTES || !bytes.subarray(0, MAGIC.length).equals(MAGIC)) throw damaged();
  const nonce = bytes.subarray(MAGIC.length, HEAD_BYTES);
  const decipher = createDecipheriv('aes-256-gcm', deriveKey(master, space), nonce);
  decipher.setAAD(bind(space));
  decipher.setAuthTag(bytes.subarray(bytes.length - TAG_BYTES));
  let text: string;
  try {
    const body = decipher.update(bytes.subarray(HEAD_BYTES, bytes.length - TAG_BYTES));
    text = Buffer.concat([body, decipher.final()]).toString('utf8');
  } catch (cause) {
    throw damaged(cause);
  }
  // Authentic from here on: written by this program with this key.
  const rows = JSON.parse(text) as [string, string][];
  return new Map(rows.map(([key, value]) => [key, Buffer.from(value, 'base64')]));
}

/** Neither name holds a NUL, so no two pairs are bound alike. */
function bind({ principal, capsule }: SecretNamespace): Buffer {
  return Buffer.concat([MAGIC, Buffer.from(`\0${principal}\0${capsule}`)]);
}

function deriveKey(master: Uint8Array, space: SecretNamespace): Buffer {
  return Buffer.from(hkdfSync('sha256', master, Buffer.alloc(0), bind(space), 32));
}

function damaged(cause?: unknown): Fault {
  const message =
    'the secrets of this capsule cannot be opened: the file was changed, belongs to another capsule, or the key of this home is another one';
  return new Fault('io_error', message, { field: 'secrets', cause });
}
