import { LIMITS } from '../../abi/limits.js';

/**
 * The hash of the module that was offered last. An install meets the same bytes four times within a second (plan, install,
 * write, first start), and hashing them is most of what a person waits for. Equal bytes have the equal hash: what is looked
 * up here was compared byte by byte with a copy that nobody else holds.
 */
export class RecentHash {
  #bytes: Buffer | null = null;
  #hash = '';

  /** Call before the bytes are handed to another thread. */
  remember(bytes: Uint8Array, hash: string): void {
    const fits = bytes.length <= LIMITS.recentHashBytesMax;
    this.#bytes = fits ? Buffer.from(bytes) : null;
    this.#hash = hash;
  }

  /** Null when these are not the bytes that were remembered. */
  find(bytes: Uint8Array): string | null {
    return this.#bytes?.equals(bytes) === true ? this.#hash : null;
  }

  /** `find`, and the copy goes: for the last who asks. */
  take(bytes: Uint8Array): string | null {
    const hash = this.find(bytes);
    if (hash !== null) this.#bytes = null;
    return hash;
  }
}
