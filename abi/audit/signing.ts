import { createPrivateKey, createPublicKey, sign as signNative, verify as verifyNative } from 'node:crypto';
import { getPublicKeyAsync, utils, verifyAsync } from '@noble/ed25519';
import { Fault } from '../errno.js';

/**
 * Ed25519 (RFC 8032) over raw 32-byte keys. `node:crypto` signs and verifies, because it is about seven times faster;
 * `@noble/ed25519` makes the keys and is the second, portable verifier, which needs no OpenSSL. The two check each other in
 * tests. What is signed here is always a note (checkpoint.ts), and its format is the domain separation: it begins with
 * the log's origin.
 */
export const KEY_BYTES = 32;
const SIGNATURE_BYTES = 64;

/** DER in front of a raw seed (PKCS #8) and a raw public key (SubjectPublicKeyInfo), RFC 8410 section 7. */
const PKCS8_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex');
const SPKI_PREFIX = Buffer.from('302a300506032b6570032100', 'hex');

export interface KeyPair {
  readonly secret: Buffer;
  readonly public: Buffer;
}

export interface Signer {
  readonly publicKey: Buffer;
  sign(message: Buffer): Buffer;
}

/** True if `signature` is this key's over `message`; false for every other bytes, never a throw. */
export type Verifier = (message: Buffer, signature: Buffer) => boolean;
export type PortableVerifier = (message: Buffer, signature: Buffer) => Promise<boolean>;

export async function generateKeyPair(): Promise<KeyPair> {
  const secret = Buffer.from(utils.randomSecretKey());
  return { secret, public: Buffer.from(await getPublicKeyAsync(secret)) };
}

function checkKey(key: Buffer, field: string): void {
  if (key.length === KEY_BYTES) return;
  throw new Fault('invalid_argument', `${field}: expected ${KEY_BYTES} bytes`, { field });
}

/** @param secret the RFC 8032 seed, 32 bytes. Throws Fault `invalid_argument`. */
export function createSigner(secret: Buffer): Signer {
  checkKey(secret, 'secret');
  const der = Buffer.concat([PKCS8_PREFIX, secret]);
  const key = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
  der.fill(0);
  const spki = createPublicKey(key).export({ format: 'der', type: 'spki' });
  return {
    publicKey: spki.subarray(SPKI_PREFIX.length),
    sign: (message) => signNative(null, message, key),
  };
}

/** @param publicKey 32 bytes. Throws Fault `invalid_argument`. */
export function createVerifier(publicKey: Buffer): Verifier {
  checkKey(publicKey, 'publicKey');
  const der = Buffer.concat([SPKI_PREFIX, publicKey]);
  const key = createPublicKey({ key: der, format: 'der', type: 'spki' });
  return (message, signature) => signature.length === SIGNATURE_BYTES && verifyNative(null, message, key, signature);
}

/** As `createVerifier`, in plain JavaScript. Strict RFC 8032, not the looser ZIP 215 that is noble's default. */
export function createPortableVerifier(publicKey: Buffer): PortableVerifier {
  checkKey(publicKey, 'publicKey');
  return async (message, signature) =>
    signature.length === SIGNATURE_BYTES && (await verifyAsync(signature, message, publicKey, { zip215: false }));
}
