import { type FSWatcher, watch } from 'node:fs';

/** A save is several events: what comes within this time of the last one is one change. */
const SETTLE_MS = 25;
const SKIPPED = /(^|\/)(node_modules|\.git|\.astrid|dist)(\/|$)|~$|\.swp$/;

/** Changes below a directory, one at a time: those that come while nobody waits are one. */
export class ChangeWatcher {
  readonly #watcher: FSWatcher;
  #changed = false;
  #timer: NodeJS.Timeout | null = null;
  #wake: (() => void) | null = null;
  #closed = false;

  constructor(dir: string, onError: (error: Error) => void) {
    this.#watcher = watch(dir, { recursive: true }, (_event, file) => this.#notice(file));
    this.#watcher.on('error', onError);
  }

  /** Resolves with true after a change, with false once it is closed. */
  async next(): Promise<boolean> {
    if (!this.#changed && !this.#closed) await new Promise<void>((resolve) => (this.#wake = resolve));
    this.#changed = false;
    return !this.#closed;
  }

  close(): void {
    this.#closed = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#watcher.close();
    this.#wake?.();
  }

  #notice(file: string | null): void {
    if (file !== null && SKIPPED.test(file)) return;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#timer = null;
      this.#changed = true;
      this.#wake?.();
      this.#wake = null;
    }, SETTLE_MS);
  }
}
