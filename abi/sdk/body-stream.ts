import { onInvocationEnd } from './event-loop.js';
import { closeStream, type HttpStream, readStream } from './http.js';
import { concatBytes } from './utf8.js';

interface ReadResult {
  readonly done: boolean;
  readonly value: Uint8Array | undefined;
}

export interface ChunkSource {
  /** Undefined at the end. Throws what the kernel throws. */
  next(): Uint8Array | undefined;
  close(): void;
}

/** Chunks of an HTTP stream. It is closed at its end, when it is cancelled, and when the invocation ends. */
export function httpSource(stream: HttpStream, check: () => void): ChunkSource {
  let open = true;
  const close = (): void => {
    if (!open) return;
    open = false;
    forget();
    closeStream(stream);
  };
  const forget = onInvocationEnd(close);
  return {
    close,
    next() {
      if (!open) return undefined;
      try {
        check();
        const chunk = readStream(stream);
        if (chunk.length > 0) return chunk;
      } catch (error) {
        close();
        throw error;
      }
      close();
      return undefined;
    },
  };
}

export function bytesSource(bytes: Uint8Array): ChunkSource {
  let rest: Uint8Array | undefined = bytes.length === 0 ? undefined : bytes;
  return {
    next() {
      const chunk = rest;
      rest = undefined;
      return chunk;
    },
    close() {
      rest = undefined;
    },
  };
}

/**
 * What a response's `body` is: the reading half of a `ReadableStream` of bytes. Reading waits in the kernel (at most 120 s
 * a chunk), so a promise it gives is settled already. There is no `tee`, no `pipeTo` and no byte mode.
 */
export class BodyStream {
  readonly #source: ChunkSource;
  #locked = false;
  #disturbed = false;

  constructor(source: ChunkSource) {
    this.#source = source;
  }

  get locked(): boolean {
    return this.#locked;
  }

  /** True once anything was read; not part of the web's class. */
  get disturbed(): boolean {
    return this.#disturbed;
  }

  getReader(): { read(): Promise<ReadResult>; cancel(): Promise<void>; releaseLock(): void; closed: Promise<void> } {
    this.#lock();
    return {
      read: async () => this.#read(),
      cancel: async () => this.#source.close(),
      releaseLock: () => {
        this.#locked = false;
      },
      closed: Promise.resolve(),
    };
  }

  async cancel(): Promise<void> {
    this.#disturbed = true;
    this.#source.close();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, void> {
    this.#lock();
    try {
      for (let next = this.#read(); next.value !== undefined; next = this.#read()) yield next.value;
    } finally {
      this.#source.close();
      this.#locked = false;
    }
  }

  /** Everything that is left. */
  collect(): Uint8Array {
    this.#lock();
    const chunks: Uint8Array[] = [];
    for (let next = this.#read(); next.value !== undefined; next = this.#read()) chunks.push(next.value);
    return concatBytes(chunks);
  }

  tee(): never {
    throw new TypeError('tee is not supported: read the body once and keep the bytes');
  }

  pipeTo(): never {
    throw new TypeError('pipeTo is not supported: read the chunks with for await');
  }

  pipeThrough(): never {
    throw new TypeError('pipeThrough is not supported: read the chunks with for await');
  }

  #lock(): void {
    if (this.#locked) throw new TypeError('the body is being read already');
    this.#locked = true;
  }

  #read(): ReadResult {
    this.#disturbed = true;
    const value = this.#source.next();
    return { done: value === undefined, value };
  }
}
