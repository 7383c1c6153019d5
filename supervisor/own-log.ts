import { fstatSync, writeSync } from 'node:fs';
import { Socket } from 'node:net';

/** A reader that is further behind gets no more lines, until it has read some. */
const UNREAD_BYTES_MAX = 1024 * 1024;

/**
 * Where the supervisor's own lines go. Whoever reads them may be gone, may have stopped reading, or may have a full disk, and none of
 * that may hold up the kernel: a line that cannot be written is dropped. (The usual destination of pino tries again for ever, without
 * ever coming back to the event loop, when its last lines meet a closed pipe or a full disk.)
 */
export class OwnLog {
  readonly #fd: number;
  readonly #socket: Socket | null;
  #isBroken = false;

  constructor(fd: number) {
    this.#fd = fd;
    this.#socket = canBlock(fd) ? new Socket({ fd, readable: false, writable: true }) : null;
    this.#socket?.on('error', () => {
      this.#isBroken = true;
    });
  }

  write(line: string): void {
    if (this.#socket === null) this.#writeFile(line);
    else if (!this.#isBroken && this.#socket.writableLength <= UNREAD_BYTES_MAX) this.#socket.write(line);
  }

  /** Resolves when the lines so far are out, or cannot be, or after so long. */
  async flush(waitMs: number): Promise<void> {
    const socket = this.#socket;
    if (socket === null || this.#isBroken || socket.writableLength === 0) return;
    await new Promise<void>((resolve) => {
      setTimeout(resolve, waitMs);
      socket.once('close', () => resolve());
      socket.write('', () => resolve());
    });
  }

  #writeFile(line: string): void {
    try {
      writeSync(this.#fd, line);
    } catch {
      // There is nowhere else to say it.
    }
  }
}

/** A pipe or a socket waits for its reader; a file does not. */
function canBlock(fd: number): boolean {
  try {
    const stat = fstatSync(fd);
    return stat.isFIFO() || stat.isSocket();
  } catch {
    return false;
  }
}
