import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { LoggedEvent } from '../abi/audit/protocol.js';
import type { AuditEvent } from '../abi/audit-event.js';
import type { AuditorStatus } from '../abi/control.js';
import { Fault } from '../abi/errno.js';
import { AuditClient } from './audit-client.js';
import { AuditSummary } from './audit-summary.js';
import { spawnAuditor } from './auditor/spawn.js';
import type { BootLogger } from './boot-steps.js';
import type { AuditPort } from './dispatch.js';
import type { Home } from './home.js';
import { ignoreMissing } from './ignore-missing.js';
import { replacePrivateFile } from './private-files/replace.js';

const SUMMARY_FLUSH_MS = 250;
/** Records of one turn of the event loop that may wait for its end. */
const PENDING_MAX = 1024;

/** The audit as the kernel uses it: floods are summarised on the way, and followers see what is in the log. */
export class AuditTrail implements AuditPort {
  readonly #client: AuditClient;
  readonly #summary: AuditSummary;
  readonly #followers: Set<(entry: LoggedEvent) => void>;
  readonly #timer: NodeJS.Timeout;
  /** Recorded in this turn and not summarised yet. */
  #pending: (() => AuditEvent)[] = [];
  #scheduled = false;
  #failing: Fault | null = null;

  private constructor(client: AuditClient, followers: Set<(entry: LoggedEvent) => void>) {
    this.#client = client;
    this.#followers = followers;
    this.#summary = new AuditSummary({ now: Date.now, emit: (event) => client.record(event) });
    this.#timer = setInterval(() => {
      this.#drain();
      this.#summary.flushDue();
    }, SUMMARY_FLUSH_MS);
  }

  /** Starts the auditor. Throws bad_log when its log does not go on from what this supervisor saw last. */
  static async open(home: Home, logger: BootLogger): Promise<AuditTrail> {
    const followers = new Set<(entry: LoggedEvent) => void>();
    const origin = await readOrigin(home);
    const client = new AuditClient({
      spawn: () => spawnAuditor({ logDir: home.auditLog, keyPath: home.auditKey, pubPath: home.auditPub, origin }),
      checkpointPath: home.checkpoint,
      publicKeyPath: home.auditPub,
      onEntry: (entry) => {
        for (const follower of followers) follower(entry);
      },
      onStateChange: (state, fault) => {
        if (state === 'up') logger.info({ state }, 'auditor');
        else logger.error({ state, reason: fault?.message }, 'auditor');
      },
      onDropped: (dropped, fault) =>
        logger.error({ dropped, reason: fault.message }, 'records that the log does not take'),
      now: Date.now,
    });
    const { treeSize, recovered } = await client.start();
    logger.info({ treeSize, ...recovered }, 'audit log opened');
    return new AuditTrail(client, followers);
  }

  async append(event: AuditEvent): Promise<void> {
    // What was recorded so far comes before it: an effect is never logged ahead of the reads that led to it.
    this.#drain();
    if (this.#failing !== null) throw this.#failing;
    this.#summary.flushSession(event.session);
    await this.#client.append(event);
  }

  /**
   * In order and not awaited. Making the event, encoding and hashing happen after this turn's replies were written, while the workers wake up: it is half
   * of what a small host call costs. Throws audit_unavailable while the log takes nothing, and then the action must not happen.
   */
  record(make: () => AuditEvent): void {
    if (this.#failing !== null) throw this.#failing;
    this.#pending.push(make);
    if (this.#pending.length >= PENDING_MAX) {
      this.#drain();
      return;
    }
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#drain();
    });
  }

  readWaitMs(capsule: string): number {
    return this.#summary.readWaitMs(capsule);
  }

  /** What the log does not take now is kept for the next try, and nothing further is let through until it is in. */
  #drain(): void {
    const pending = this.#pending;
    let taken = 0;
    try {
      for (; taken < pending.length; taken++) this.#summary.add((pending[taken] as () => AuditEvent)());
      this.#pending = [];
      this.#failing = null;
    } catch (error) {
      this.#pending = pending.slice(taken);
      this.#failing = new Fault('audit_unavailable', 'the audit log takes nothing now', { cause: error });
    }
  }

  tail(lines: number): Promise<LoggedEvent[]> {
    return this.#client.tail(lines);
  }

  follow(onEntry: (entry: LoggedEvent) => void): () => void {
    this.#followers.add(onEntry);
    return () => void this.#followers.delete(onEntry);
  }

  status(): AuditorStatus {
    const { pid, state, treeSize, dropped } = this.#client;
    return { pid, state, treeSize, dropped };
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.#drain();
    this.#summary.flushAll();
    await this.#client.close();
  }
}

/** The log's name in its checkpoints, chosen once per home. */
async function readOrigin(home: Home): Promise<string> {
  const path = `${home.auditLog}.origin`;
  const known = await readFile(path, 'utf8').catch(ignoreMissing);
  if (known === undefined) {
    const origin = `astrid.local/${randomBytes(8).toString('hex')}`;
    await replacePrivateFile(path, origin);
    return origin;
  }
  if (!/^astrid\.local\/[0-9a-f]{16}$/.test(known))
    throw new Fault('bad_log', 'var/audit.origin is damaged', { field: 'origin' });
  return known;
}
