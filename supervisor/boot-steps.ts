import { asFault } from '../abi/errno.js';

export interface BootLogger {
  info(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** Boot as a list of steps, each with its undo: a failure and an orderly stop walk back the same way. */
export class BootSteps {
  readonly #logger: BootLogger;
  readonly #undo: { readonly step: string; readonly run: () => Promise<void> | void }[] = [];
  readonly taken: { step: string; ms: number }[] = [];

  constructor(logger: BootLogger) {
    this.#logger = logger;
  }

  /** Runs one step and remembers how to undo it. */
  async run<T>(step: string, work: () => T | Promise<T>, undo?: (made: T) => Promise<void> | void): Promise<T> {
    const start = performance.now();
    const made = await work();
    const ms = Math.round((performance.now() - start) * 10) / 10;
    this.taken.push({ step, ms });
    this.#logger.info({ step, ms }, 'boot');
    if (undo !== undefined) this.#undo.push({ step, run: () => undo(made) });
    return made;
  }

  /** Undoes everything, last first. One undo that fails is logged and stops no other. */
  async walkBack(): Promise<void> {
    for (let last = this.#undo.pop(); last !== undefined; last = this.#undo.pop()) {
      try {
        await last.run();
        this.#logger.info({ step: last.step }, 'undone');
      } catch (error) {
        const { code, message } = asFault(error);
        this.#logger.error({ step: last.step, code, reason: message }, 'undo failed');
      }
    }
  }
}
