/** Runs actions that share a key, an object, one after the other, across all mounts of this process. */
export class KeyedLock {
  readonly #tails = new Map<object, Promise<void>>();

  async run<T>(key: object, action: () => Promise<T>): Promise<T> {
    const before = this.#tails.get(key) ?? Promise.resolve();
    let open: () => void = () => undefined;
    const tail = new Promise<void>((resolve) => {
      open = resolve;
    });
    this.#tails.set(key, tail);
    await before;
    try {
      return await action();
    } finally {
      open();
      if (this.#tails.get(key) === tail) this.#tails.delete(key);
    }
  }
}
