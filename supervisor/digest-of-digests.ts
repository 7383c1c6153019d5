import { createHash } from 'node:crypto';
import { writeHex } from '../abi/audit/event.js';

const DIGEST_BYTES = 32;
/** So many go into one call of the hash: the call costs more than what it does with 32 bytes. */
const DIGESTS_HELD = 32;

/** SHA-256 over SHA-256 digests, 32 bytes each, in the order in which they are added. */
export class DigestOfDigests {
  readonly #hash = createHash('sha256');
  readonly #held = Buffer.allocUnsafe(DIGESTS_HELD * DIGEST_BYTES);
  #bytes = 0;

  /** @param digest 64 lower-case hex digits */
  add(digest: string): void {
    if (this.#bytes === this.#held.length) this.#flush();
    writeHex(this.#held, this.#bytes, digest);
    this.#bytes += DIGEST_BYTES;
  }

  /** The hash in hex. Nothing can be added after it. */
  end(): string {
    this.#flush();
    return this.#hash.digest('hex');
  }

  #flush(): void {
    this.#hash.update(this.#held.subarray(0, this.#bytes));
    this.#bytes = 0;
  }
}
