import { decodeEntry } from '../../abi/audit/entry.js';
import {
  decodeToAuditor,
  type LoggedEvent,
  type ToAuditor,
  type ToAuditorOf,
  type ToSupervisor,
} from '../../abi/audit/protocol.js';
import { asFault, Fault } from '../../abi/errno.js';
import { GroupCommit } from './group-commit.js';
import type { AuditLog, OpenedLog } from './log.js';

export interface ServiceParts {
  /** Opens the log against the supervisor's checkpoint; called once. */
  readonly open: (known: string | null) => Promise<OpenedLog>;
  readonly send: (message: ToSupervisor) => void;
  /** Ends the process: refused, a broken protocol, or a log that can no longer be trusted. */
  readonly fail: (fault: Fault) => void;
}

interface Serving {
  readonly log: AuditLog;
  readonly commit: GroupCommit;
}

const ENTRIES_BYTES_MAX = 512 * 1024;

/** Answers frames. Life: waiting for `open`, opening, serving. Appends are answered in order; questions as they are done. */
export class AuditorService {
  readonly #parts: ServiceParts;
  #opening = false;
  #serving: Serving | null = null;

  constructor(parts: ServiceParts) {
    this.#parts = parts;
  }

  /** Takes one frame. Throws Fault `bad_protocol`; the caller then ends the connection. */
  take(value: unknown): void {
    const message = decodeToAuditor(value);
    if (message.t === 'open') {
      if (this.#opening) throw new Fault('bad_protocol', 'auditor protocol: open came twice');
      this.#opening = true;
      void this.#open(message.checkpoint);
      return;
    }
    if (this.#serving === null) throw new Fault('bad_protocol', `auditor protocol: ${message.t} before open`);
    void this.#answer(this.#serving, message);
  }

  async #open(known: string | null): Promise<void> {
    try {
      const { log, recovered, proof } = await this.#parts.open(known);
      this.#serving = { log, commit: new GroupCommit((events) => log.append(events)) };
      const { checkpoint, size: treeSize } = log;
      this.#parts.send({ t: 'opened', checkpoint, treeSize, recovered, proof: [...proof] });
    } catch (thrown) {
      const fault = asFault(thrown);
      this.#parts.send({ t: 'refused', code: fault.code, message: fault.message });
      this.#parts.fail(fault);
    }
  }

  /** Never rejects: what goes wrong becomes the answer. */
  async #answer(serving: Serving, message: Exclude<ToAuditor, { t: 'open' }>): Promise<void> {
    try {
      await this.#serve(serving, message);
    } catch (thrown) {
      const fault = asFault(thrown);
      this.#parts.send({ t: 'nack', id: message.id, code: fault.code, message: fault.message });
      if (!serving.log.trusted) this.#parts.fail(fault);
    }
  }

  async #serve({ log, commit }: Serving, message: Exclude<ToAuditor, { t: 'open' }>): Promise<void> {
    const { id } = message;
    switch (message.t) {
      case 'append':
        this.#parts.send({ t: 'ack', id, ...(await commit.submit(message.epoch, message.events)) });
        return;
      case 'tail':
        return this.#sendTail(log, message);
      case 'prove':
        this.#parts.send({ t: 'proof', id, index: message.index, ...(await log.prove(message.index)) });
        return;
      case 'consistency':
        this.#parts.send({ t: 'consistent', id, from: message.from, ...log.proveConsistency(message.from) });
        return;
    }
  }

  /** In several frames when they are many: a frame has a largest size. */
  async #sendTail(log: AuditLog, { id, lines }: ToAuditorOf<'tail'>): Promise<void> {
    let entries: LoggedEvent[] = [];
    let bytes = 0;
    for await (const encoded of log.tail(lines)) {
      const { index, event } = decodeEntry(encoded);
      entries.push({ index, ...event });
      bytes += encoded.length;
      if (bytes < ENTRIES_BYTES_MAX) continue;
      this.#parts.send({ t: 'entries', id, entries, last: false });
      entries = [];
      bytes = 0;
    }
    this.#parts.send({ t: 'entries', id, entries, last: true });
  }

  /** Waits until everything that was received is on disk, then lets go of the files. */
  async close(): Promise<void> {
    if (this.#serving === null) return;
    await this.#serving.commit.idle();
    this.#serving.log.close();
  }
}
