import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

/** A front end as the original's: 4-byte big-endian length, JSON, token handshake. */
export class UplinkClient {
  readonly socket: Socket;
  #bytes: Buffer = Buffer.alloc(0);
  #ended = false;
  #waiters: (() => void)[] = [];

  constructor(path: string) {
    this.socket = connect({ path, allowHalfOpen: true });
    this.socket.on('data', (chunk: Buffer) => {
      this.#bytes = Buffer.concat([this.#bytes, chunk]);
      this.#wake();
    });
    const end = () => {
      this.#ended = true;
      this.#wake();
    };
    this.socket.on('end', end).on('close', end).on('error', end);
  }

  static async open(path: string): Promise<UplinkClient> {
    const client = new UplinkClient(path);
    await once(client.socket, 'connect');
    return client;
  }

  send(value: unknown): void {
    this.socket.write(frame(value));
  }

  hello(token: string, more: object = {}): void {
    this.send({ token, protocol_version: 1, client_version: '0.5.1', ...more });
  }

  /** The next frame as text; null when the other side ended instead. */
  async next(): Promise<string | null> {
    while (true) {
      const length = this.#bytes.length < 4 ? null : this.#bytes.readUInt32BE(0);
      if (length !== null && this.#bytes.length >= 4 + length) {
        const body = this.#bytes.toString('utf8', 4, 4 + length);
        this.#bytes = this.#bytes.subarray(4 + length);
        return body;
      }
      if (this.#ended) return null;
      await new Promise<void>((resolve) => this.#waiters.push(resolve));
    }
  }

  async nextJson(): Promise<Record<string, unknown> | null> {
    const text = await this.next();
    return text === null ? null : (JSON.parse(text) as Record<string, unknown>);
  }

  close(): void {
    this.socket.destroy();
  }

  #wake(): void {
    for (const wake of this.#waiters.splice(0)) wake();
  }
}

export function frame(value: unknown): Buffer {
  const body = typeof value === 'string' ? Buffer.from(value) : Buffer.from(JSON.stringify(value));
  return Buffer.concat([header(body.length), body]);
}

export function header(bytes: number): Buffer {
  const head = Buffer.alloc(4);
  head.writeUInt32BE(bytes);
  return head;
}
