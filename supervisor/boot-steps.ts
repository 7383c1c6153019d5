import { asFault } from '../abi/errno.js';

export interface BootLogger {
  info(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** Boot as a list of steps, each with its undo: a failure and an orderly stop walk back the same way. */
export class BootSteps {
  readonly #logger: BootLogger;
  readonly #undo: { readonly step: string; readonly run: () => Promise<void> | void }[] = [];
  /** In the order in which they began, which is fixed; what runs beside others may end later. */
  readonly #begun: { readonly step: string; ms: number | null }[] = [];

  constructor(logger: BootLogger) {
    this.#logger = logger;
  }

  /** Steps that are done, with how long they took. */
  get taken(): { step: string; ms: number }[] {
    return this.#begun.flatMap(({ step, ms }) => (ms === null ? [] : [{ step, ms }]));
  }

  /** Runs one step and remembers how to undo it. */
  run<T>(step: string, work: () => T | Promise<T>, undo?: (made: T) => Promise<void> | void): Promise<T> {
    return this.begin(step, work, undo);
  }

  /**
   * Starts a step that others need not wait for; the caller awaits it where it is needed. Its place in the order of undoing
   * is where it began.
   */
  begin<T>(step: string, work: () => T | Promise<T>, undo?: (made: T) => Promise<void> | void): Promise<T> {
    const start = performance.now();
    const begun: { readonly step: string; ms: number | null } = { step, ms: null };
    this.#begun.push(begun);
    this.#logger.info({ begin: step }, 'boot');
    const running = (async () => {
      const made = await work();
      const ms = Math.round((performance.now() - start) * 10) / 10;
      begun.ms = ms;
      this.#logger.info({ step, ms }, 'boot');
      return made;
    })();
    // Whoever awaits it hears of a failure; until then it must not count as unhandled.
    running.catch(() => undefined);
    if (undo !== undefined) {
      const undoMade = async () => {
        const settled = await Promise.allSettled([running]);
        if (settled[0].status === 'fulfilled') await undo(settled[0].value);
      };
      this.#undo.push({ step, run: undoMade });
    }
    return running;
  }

  /** Something to do on the way back that has no step of its own on the way up. */
  onWalkBack(what: string, run: () => Promise<void> | void): void {
    this.#undo.push({ step: what, run });
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
