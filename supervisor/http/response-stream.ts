import type { Fault } from '../../abi/errno.js';
import { LIMITS } from '../../abi/limits.js';
import type { HttpResponse } from './exchange.js';

const EMPTY = Buffer.alloc(0);

/**
 * A response whose body is read when it is asked for, piece by piece: what nobody asks for stays in the network, but for one
 * buffer of the library's.
 */
export class ResponseStream {
  readonly #response: HttpResponse;
  readonly #chunks: AsyncIterator<Buffer>;
  #rest: Buffer = EMPTY;
  #ended = false;
  #failed: Fault | null = null;

  constructor(response: HttpResponse) {
    this.#response = response;
    this.#chunks = response.body[Symbol.asyncIterator]();
  }

  /** The next bytes, at most as many as fit a frame; none at the end, and at every read after it. */
  async next(): Promise<Buffer> {
    while (this.#rest.length === 0 && !this.#ended) {
      if (this.#failed !== null) throw this.#failed;
      const { value, done } = await this.#chunks.next();
      if (done === true) this.#end();
      else this.#rest = value;
    }
    const chunk = this.#rest.subarray(0, LIMITS.httpChunkBytesMax);
    this.#rest = this.#rest.subarray(chunk.length);
    return chunk;
  }

  /** Closes the connection, unless the body was read to its end. A second time does nothing. */
  drop(why: Fault): void {
    if (this.#ended) return;
    this.#failed ??= why;
    this.#rest = EMPTY;
    this.#response.lease.drop(why);
  }

  #end(): void {
    this.#ended = true;
    this.#response.lease.giveBack();
  }
}
