import { setTimeout as delay } from 'node:timers/promises';
import type { NoteKey } from '../../abi/audit/note.js';
import type { ToSupervisorOf } from '../../abi/audit/protocol.js';
import { asFault, Fault, type FaultCode } from '../../abi/errno.js';
import { AuditorLink, type LinkHandlers } from './auditor-link.js';
import { checkOpened, readPinnedKey } from './opening.js';
import type { AuditorProcess } from './spawn.js';

export interface KeeperOptions {
  readonly spawn: () => AuditorProcess;
  readonly publicKeyPath: string;
  readonly now: () => number;
  /** The checkpoint that the auditor's log must extend. */
  readonly known: () => string | null;
  /** The auditor is up and its log is believed. A throw refuses it. */
  readonly onUp: (opened: ToSupervisorOf<'opened'>) => void;
  /** It is down. `final`: it is not started again, a person has to look. */
  readonly onDown: (fault: Fault, final: boolean) => void;
  readonly onAck: LinkHandlers['onAck'];
  readonly onNack: LinkHandlers['onNack'];
}

const START_WAIT_MS = 5_000;
const BACKOFF_MS = 100;
const BACKOFF_MS_MAX = 5_000;
/** An auditor that lived this long is healthy again: its next restart is quick. */
const HEALTHY_MS = 10_000;
const CLOSE_WAIT_MS = 2_000;

/** A restart does not help against these. */
const FINAL: ReadonlySet<FaultCode> = new Set(['bad_log', 'bad_home', 'bad_proof', 'bad_protocol', 'invalid_argument']);

/** Keeps an auditor running. Life: new, starting, then up and down by turns, until stopped or down for good. */
export class AuditorKeeper {
  readonly #options: KeeperOptions;
  #link: AuditorLink | null = null;
  #up = false;
  #upSince = 0;
  /** Read once: a pin that could be exchanged while we run would pin nothing. */
  #key: NoteKey | null = null;
  #restartMs = BACKOFF_MS;
  readonly #stop = new AbortController();

  constructor(options: KeeperOptions) {
    this.#options = options;
  }

  /** The auditor, when it is up. */
  get link(): AuditorLink | null {
    return this.#up ? this.#link : null;
  }

  /**
   * Tries for a few seconds where that can help, as when the last auditor has not let go of its log yet. Throws the Fault of the
   * last try.
   */
  async start(): Promise<ToSupervisorOf<'opened'>> {
    const deadline = this.#options.now() + START_WAIT_MS;
    for (let waitMs = BACKOFF_MS; ; waitMs *= 2) {
      try {
        return await this.#connect();
      } catch (thrown) {
        const fault = asFault(thrown);
        await this.#link?.destroy(fault);
        if (FINAL.has(fault.code) || this.#options.now() + waitMs > deadline) throw fault;
        await delay(waitMs);
      }
    }
  }

  /** Ends the auditor after it has written what it received, and starts no other. */
  async stop(): Promise<void> {
    this.#stop.abort();
    this.#up = false;
    await this.#link?.close(CLOSE_WAIT_MS);
  }

  async #connect(): Promise<ToSupervisorOf<'opened'>> {
    const known = this.#options.known();
    const link: AuditorLink = new AuditorLink(this.#options.spawn(), {
      onAck: this.#options.onAck,
      onNack: this.#options.onNack,
      onEnd: (fault) => this.#onEnd(link, fault),
    });
    this.#link = link;
    const opened = await link.open(known);
    this.#key ??= await readPinnedKey(this.#options.publicKeyPath);
    checkOpened(opened, this.#key, known);
    if (this.#stop.signal.aborted) throw new Fault('cancelled', 'the audit client is closed');
    // It may have died while its word was checked, and nobody would tell us again.
    if (link.ended) throw new Fault('connection_closed', 'the auditor has ended');
    this.#up = true;
    this.#upSince = this.#options.now();
    try {
      this.#options.onUp(opened);
    } catch (thrown) {
      this.#up = false;
      throw thrown;
    }
    return opened;
  }

  #onEnd(link: AuditorLink, fault: Fault): void {
    if (link !== this.#link || !this.#up) return;
    this.#up = false;
    if (this.#options.now() - this.#upSince >= HEALTHY_MS) this.#restartMs = BACKOFF_MS;
    this.#options.onDown(fault, false);
    void this.#restart();
  }

  /** Never rejects. */
  async #restart(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      try {
        await delay(this.#restartMs, undefined, { signal });
        this.#restartMs = Math.min(this.#restartMs * 2, BACKOFF_MS_MAX);
        await this.#connect();
        return;
      } catch (thrown) {
        if (signal.aborted) return;
        const fault = asFault(thrown);
        await this.#link?.destroy(fault);
        if (!FINAL.has(fault.code)) continue;
        this.#options.onDown(fault, true);
        return;
      }
    }
  }
}
