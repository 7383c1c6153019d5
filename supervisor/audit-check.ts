import { readFile } from 'node:fs/promises';
import type { AuditEvent } from '../abi/audit-event.js';
import type { AuditCheck } from '../abi/control.js';
import { asFault } from '../abi/errno.js';
import type { BootLogger } from './boot-steps.js';
import type { Home } from './home.js';
import { ignoreMissing } from './ignore-missing.js';
import { kernelEvent } from './kernel-hooks.js';
import type { Pool } from './pool/pool.js';

export interface AuditCheckParts {
  readonly home: Pick<Home, 'auditLog' | 'auditPub' | 'checkpoint'>;
  readonly pool: Pick<Pool, 'verifyAudit'>;
  readonly record: (make: () => AuditEvent) => void;
  readonly logger: BootLogger;
}

/**
 * After boot, the whole log is verified once on a thread of the pool, while everything else works. The auditor has only looked at the
 * log's end, which is what it needs to go on from; damage further back is found here and shown by `astrid status`. It does not stop
 * the supervisor: what was damaged cannot be undone, and an operator needs a running system to look at it.
 */
export class BootAuditCheck {
  readonly #parts: AuditCheckParts;
  #state: AuditCheck = { state: 'running', entries: 0, message: null };

  constructor(parts: AuditCheckParts) {
    this.#parts = parts;
  }

  get state(): AuditCheck {
    return this.#state;
  }

  /** Never rejects: what goes wrong is the state. */
  async run(): Promise<void> {
    const start = performance.now();
    try {
      this.#state = await this.#verify();
    } catch (thrown) {
      const fault = asFault(thrown);
      // The supervisor stops: there is nothing to be said about the log.
      if (fault.code === 'cancelled') return;
      this.#state = { state: 'failed', entries: 0, message: fault.message };
    }
    this.#report(Math.round(performance.now() - start));
  }

  async #verify(): Promise<AuditCheck> {
    const { home, pool } = this.#parts;
    const key = await readFile(home.auditPub, 'utf8');
    const knownCheckpoint = (await readFile(home.checkpoint, 'utf8').catch(ignoreMissing)) ?? null;
    const { entries, firstBad } = await pool.verifyAudit({ directory: home.auditLog, key, knownCheckpoint });
    if (firstBad === null) return { state: 'ok', entries, message: null };
    return { state: 'bad', entries, message: `entry ${firstBad.index}: ${firstBad.message}` };
  }

  #report(ms: number): void {
    const { logger, record } = this.#parts;
    const { state, entries, message } = this.#state;
    const isOk = state === 'ok';
    if (isOk) logger.info({ entries, ms }, 'audit log verified');
    else logger.error({ entries, ms, reason: message }, 'audit log NOT verified');
    const event = kernelEvent('audit.verify', `${entries} entries`, isOk ? 'done' : 'failed', message ?? 'after boot');
    try {
      record(() => event);
    } catch (thrown) {
      logger.error({ reason: asFault(thrown).message }, 'the result of the verification could not be logged');
    }
  }
}
