import { randomBytes, randomUuid } from './random.js';

/** As the web has it: at most this many bytes at a time. */
const RANDOM_BYTES_MAX = 65_536;

interface RandomSource {
  getRandomValues<T extends ArrayBufferView>(array: T): T;
  randomUUID(): string;
}

/**
 * `crypto.getRandomValues` and `crypto.randomUUID`, as a global: the host's randomness, another in each instance. Not
 * while the capsule is being built. There is no `crypto.subtle`: bundle a library such as `@noble/hashes`.
 */
export const crypto: RandomSource = {
  getRandomValues<T extends ArrayBufferView>(array: T): T {
    if (!ArrayBuffer.isView(array) || /^(?:Float|DataView)/.test(array.constructor.name)) {
      throw new TypeError('getRandomValues takes a typed array of whole numbers');
    }
    if (array.byteLength > RANDOM_BYTES_MAX) {
      throw new RangeError(`getRandomValues gives at most ${RANDOM_BYTES_MAX} bytes, not ${array.byteLength}`);
    }
    new Uint8Array(array.buffer, array.byteOffset, array.byteLength).set(randomBytes(array.byteLength));
    return array;
  },
  randomUUID: () => randomUuid(),
};
