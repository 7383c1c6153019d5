import { copyFileSync, fstatSync, ftruncateSync, rmSync, type Stats, statSync, writeSync } from 'node:fs';
import { Socket } from 'node:net';
import { LIMITS } from '../abi/limits.js';

/** A reader that is further behind gets no more lines, until it has read some. */
const UNREAD_BYTES_MAX = 1024 * 1024;
/** How pino begins a line that says why the supervisor ends. */
const FATAL = '{"level":60';

export interface OwnLogOptions {
  /** Where the log is when the file is ours: then it is kept aside as `<path>.1` when it is full. */
  readonly path: string;
  /** Calls once when a window that began now is over. */
  readonly atWindowEnd?: (call: () => void) => void;
}

/**
 * Where the supervisor's own lines go. Whoever reads them may be gone, may have stopped reading, or may have a full disk, and none of
 * that may hold up the kernel: a line that cannot be written is dropped. (The usual destination of pino tries again for ever, without
 * ever coming back to the event loop, when its last lines meet a closed pipe or a full disk.) And what a guest makes the kernel say
 * must not fill the disk: lines in a window are counted, and the file is bounded.
 */
export class OwnLog {
  readonly #fd: number;
  readonly #path: string;
  readonly #atWindowEnd: (call: () => void) => void;
  readonly #socket: Socket | null;
  #isBroken = false;
  /** Lines of this window; null between windows. */
  #lines: number | null = null;
  #dropped = 0;
  #mayKeepAside = true;

  constructor(fd: number, { path, atWindowEnd }: OwnLogOptions) {
    this.#fd = fd;
    this.#path = path;
    this.#atWindowEnd = atWindowEnd ?? ((call) => void setTimeout(call, LIMITS.ownLogWindowMs).unref());
    this.#socket = canBlock(fd) ? new Socket({ fd, readable: false, writable: true }) : null;
    this.#socket?.on('error', () => {
      this.#isBroken = true;
    });
  }

  write(line: string): void {
    if (this.#takeRoom(line) && this.#send(line)) return;
    this.#dropped += 1;
  }

  /** Resolves when the lines so far are out, or cannot be, or after so long. */
  async flush(waitMs: number): Promise<void> {
    this.#tellDropped();
    const socket = this.#socket;
    if (socket === null || this.#isBroken || socket.writableLength === 0) return;
    await new Promise<void>((resolve) => {
      setTimeout(resolve, waitMs);
      socket.once('close', () => resolve());
      socket.write('', () => resolve());
    });
  }

  #takeRoom(line: string): boolean {
    if (this.#lines === null) {
      this.#lines = 0;
      this.#atWindowEnd(() => this.#endWindow());
    }
    if (line.startsWith(FATAL)) return true;
    if (line.length > LIMITS.ownLogLineCharsMax || this.#lines >= LIMITS.ownLogLinesMax) return false;
    this.#lines += 1;
    return true;
  }

  #endWindow(): void {
    this.#lines = null;
    this.#mayKeepAside = true;
    this.#tellDropped();
  }

  #tellDropped(): void {
    if (this.#dropped === 0) return;
    const line = { level: 40, time: new Date().toISOString(), dropped: this.#dropped, msg: 'lines dropped' };
    if (this.#send(`${JSON.stringify(line)}\n`)) this.#dropped = 0;
  }

  #send(line: string): boolean {
    if (this.#socket === null) return this.#writeFile(line);
    if (this.#isBroken || this.#socket.writableLength > UNREAD_BYTES_MAX) return false;
    this.#socket.write(line);
    return true;
  }

  #writeFile(line: string): boolean {
    try {
      const file = fstatSync(this.#fd);
      if (!file.isFile()) {
        writeSync(this.#fd, line);
        return true;
      }
      // A file that somebody else sent our output to is theirs to bound: to stop there would be a log without an end.
      const isFull = file.size >= LIMITS.ownLogBytesMax && this.#isOurs(file);
      const isCut = isFull && this.#keepAside();
      if (isFull && !isCut && !line.startsWith(FATAL)) return false;
      // At the end by number: a file that was not opened to append would else go on behind what was cut off.
      writeSync(this.#fd, line, isCut ? 0 : file.size);
      return true;
    } catch {
      // There is nowhere else to say it.
      return false;
    }
  }

  #isOurs({ dev, ino }: Stats): boolean {
    const ours = statSync(this.#path, { throwIfNoEntry: false });
    return ours?.dev === dev && ours.ino === ino;
  }

  /**
   * Copies the file and cuts it, where a rename would be less work: standard error goes to the same file, and so does whatever the
   * runtime says when it dies. Once in a window, since a flood would else copy all the time. False: there is no room yet.
   */
  #keepAside(): boolean {
    if (!this.#mayKeepAside) return false;
    this.#mayKeepAside = false;
    try {
      const aside = `${this.#path}.1`;
      rmSync(aside, { force: true });
      copyFileSync(this.#path, aside);
      ftruncateSync(this.#fd, 0);
      return true;
    } catch {
      // The disk has no room for the copy: what is in the file is worth more than the next lines.
      return false;
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
