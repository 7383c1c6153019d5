import { LIMITS } from '../../abi/limits.js';

/**
 * Hashes of the modules that were offered or read last, each until its first start. An install meets the same bytes four
 * times within a second (plan, install, write, first start), a boot twice, and hashing them is most of what a person waits
 * for. Equal bytes have the equal hash: what is looked up here was compared byte by byte with a copy that nobody else holds.
 */
export class RecentHashes {
  readonly #copies = new Map<string, Buffer>();
  #bytes = 0;

  /** Call before the bytes are handed to another thread. The oldest go when there are too many. */
  remember(bytes: Uint8Array, hash: string): void {
    this.#forget(hash);
    if (bytes.length > LIMITS.recentHashBytesMax) return;
    this.#copies.set(hash, Buffer.from(bytes));
    this.#bytes += bytes.length;
    for (const oldest of this.#copies.keys()) {
      if (this.#bytes <= LIMITS.recentHashBytesMax) return;
      this.#forget(oldest);
    }
  }

  /** Null when these are not bytes that are remembered. */
  find(bytes: Uint8Array): string | null {
    for (const [hash, copy] of this.#copies) if (copy.equals(bytes)) return hash;
    return null;
  }

  /** `find`, and the copy goes: for the last who asks. */
  take(bytes: Uint8Array): string | null {
    const hash = this.find(bytes);
    if (hash !== null) this.#forget(hash);
    return hash;
  }

  #forget(hash: string): void {
    this.#bytes -= this.#copies.get(hash)?.length ?? 0;
    this.#copies.delete(hash);
  }
}
