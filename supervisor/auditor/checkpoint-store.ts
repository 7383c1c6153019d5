import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import type { Fault } from '../../abi/errno.js';
import { replacePrivateFile } from '../private-files/replace.js';
import { errnoOf, faultOfDisk } from './disk-file.js';

/** How far the stored checkpoint may be behind an acknowledged one while the disk takes it. */
const STORE_INTERVAL_MS = 100;
const RETRY_MS = 1000;
const CHECKPOINT_BYTES_MAX = 8192;

/**
 * The supervisor's own copy of the latest checkpoint, against which the log is held at the next start: whoever puts an older
 * copy of the log in its place is found out. The file is at most STORE_INTERVAL_MS (and one write) behind what was
 * acknowledged, so the entries of that last moment before a crash are the only ones that a rollback could hide. If it cannot
 * be written, `failing` says so, and the client takes no more entries of actions that are logged before they happen: those could
 * otherwise be hidden for as long as it fails. What is only logged along goes on.
 */
export class CheckpointStore {
  readonly #path: string;
  readonly #now: () => number;
  #wanted: string | null = null;
  #stored: string | null = null;
  #storedAt = Number.NEGATIVE_INFINITY;
  #timer: NodeJS.Timeout | null = null;
  #writing: Promise<void> | null = null;
  #failing: Fault | null = null;
  #stopped = false;

  constructor(path: string, now: () => number) {
    this.#path = path;
    this.#now = now;
  }

  get failing(): Fault | null {
    return this.#failing;
  }

  /** What is stored, or null if there is nothing yet. Throws Fault `io_error`. */
  async load(): Promise<string | null> {
    try {
      const handle = await open(this.#path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
      try {
        const bytes = Buffer.alloc(CHECKPOINT_BYTES_MAX);
        const { bytesRead } = await handle.read(bytes, 0, bytes.length, 0);
        this.#stored = bytes.toString('utf8', 0, bytesRead);
        return this.#stored;
      } finally {
        await handle.close();
      }
    } catch (thrown) {
      if (errnoOf(thrown) === 'ENOENT') return null;
      throw faultOfDisk('reading the stored checkpoint', thrown);
    }
  }

  /** Stores `text` soon: now if the last write is long enough ago, else when it will be. The latest text wins. */
  put(text: string): void {
    this.#wanted = text;
    if (this.#timer !== null || this.#writing !== null || this.#stopped) return;
    this.#arm(this.#failing === null ? this.#storedAt + STORE_INTERVAL_MS - this.#now() : RETRY_MS);
  }

  #arm(delayMs: number): void {
    this.#timer = setTimeout(
      () => {
        this.#timer = null;
        void this.#write();
      },
      Math.min(Math.max(0, delayMs), RETRY_MS),
    );
  }

  /** Stores the latest text now. Resolves also if that fails: see `failing`. */
  async flush(): Promise<void> {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    while (this.#writing !== null) await this.#writing;
    await this.#write();
  }

  /** Stops trying. */
  stop(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    this.#stopped = true;
  }

  #write(): Promise<void> {
    this.#writing ??= this.#writeLatest().finally(() => {
      this.#writing = null;
      // What came meanwhile, or did not get through, is tried again.
      if (this.#wanted !== null && this.#wanted !== this.#stored) this.put(this.#wanted);
    });
    return this.#writing;
  }

  async #writeLatest(): Promise<void> {
    const text = this.#wanted;
    if (text === null || text === this.#stored) return;
    try {
      await replacePrivateFile(this.#path, text);
      this.#stored = text;
      this.#failing = null;
    } catch (thrown) {
      this.#failing = faultOfDisk('storing the checkpoint', thrown);
    }
    this.#storedAt = this.#now();
  }
}
