import type { Tier } from '../../abi/manifest.js';
import type { WorkerProcess } from './spawn.js';

/** A build takes less; a spare that nobody came for is a process for nothing. */
const KEPT_MS = 10_000;

/**
 * A worker process that boots while what it will run is still being written and checked: a third of what a person waits for
 * between a save and the capsule that runs. It was told nothing yet, so it is any capsule's. At most one.
 */
export class SpareWorker {
  readonly #spawn: (tier: Tier) => WorkerProcess;
  #spare: WorkerProcess | null = null;
  #expiry: NodeJS.Timeout | null = null;

  constructor(spawn: (tier: Tier) => WorkerProcess) {
    this.#spawn = spawn;
  }

  /** For the next ten seconds; one that stands ready in this tier stays. */
  prepare(tier: Tier): void {
    this.#expireLater();
    if (this.#spare?.tier === tier) return;
    this.#kill();
    try {
      const worker = this.#spawn(tier);
      this.#spare = worker;
      void worker.exited.then(() => {
        if (this.#spare === worker) this.#spare = null;
      });
    } catch {
      // Whoever needs a worker tries again, and says why there is none.
      this.#spare = null;
    }
  }

  /** The one that was prepared if it is of this tier and lives, else a new one. @throws Fault `tier_unavailable` */
  take(tier: Tier): WorkerProcess {
    const spare = this.#spare;
    if (spare?.tier !== tier) return this.#spawn(tier);
    this.#spare = null;
    return spare;
  }

  drop(): void {
    if (this.#expiry !== null) clearTimeout(this.#expiry);
    this.#expiry = null;
    this.#kill();
  }

  #expireLater(): void {
    if (this.#expiry !== null) clearTimeout(this.#expiry);
    this.#expiry = setTimeout(() => this.drop(), KEPT_MS);
    this.#expiry.unref();
  }

  #kill(): void {
    this.#spare?.kill('SIGKILL');
    this.#spare = null;
  }
}
