/** Runs actions that share a key, an object or a text, one after the other. */
export class KeyedLock {
  readonly #tails = new Map<object | string, Promise<void>>();

  async run<T>(key: object | string, action: () => Promise<T>): Promise<T> {
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
