import { timingSafeEqual } from 'node:crypto';
import { LIMITS } from '../../abi/limits.js';
import { APPROVAL_ID, type ApprovalRecord, type ApprovalState, decodeRecord, isOpen } from './approval-record.js';

/** The durable table as the ledger uses it. `write` resolves after its changes are on disk, all of them or none. */
export interface ApprovalTable {
  all(): Iterable<readonly [string, unknown]>;
  get(key: string): unknown;
  /** Only inside `write`. */
  put(key: string, value: unknown): void;
  /** Only inside `write`. */
  remove(key: string): void;
}

export interface ApprovalStore {
  readonly table: ApprovalTable;
  write<T>(work: () => T): Promise<T>;
}

/**
 * The records, on disk and in memory. Every change of state is one transaction that reads the state first, so of any
 * number of changes at the same time exactly one finds the state it wants. Memory follows the disk, never leads it.
 */
export class ApprovalLedger {
  readonly #store: ApprovalStore;
  readonly #records = new Map<string, ApprovalRecord>();
  /** Records in the table that are not ours or were damaged. They grant nothing. */
  readonly unreadable: number;

  constructor(store: ApprovalStore) {
    this.#store = store;
    let unreadable = 0;
    for (const [key, value] of store.table.all()) {
      const record = decodeRecord(key, value);
      if (record === null) unreadable++;
      else this.#records.set(key, { ...record, state: stateAfterRestart(record) });
    }
    this.unreadable = unreadable;
  }

  values(): Iterable<ApprovalRecord> {
    return this.#records.values();
  }

  get(id: string): ApprovalRecord | undefined {
    return this.#records.get(id);
  }

  /**
   * The open record with this id. An id is a secret until it is answered: the comparison takes the same time whatever
   * part of a guess is right.
   */
  findOpen(id: string): ApprovalRecord | undefined {
    if (!APPROVAL_ID.test(id)) return undefined;
    const wanted = Buffer.from(id);
    let found: ApprovalRecord | undefined;
    for (const record of this.#records.values()) {
      if (isOpen(record) && timingSafeEqual(Buffer.from(record.id), wanted)) found = record;
    }
    return found;
  }

  /** In the memory of this run only: whether a call waits is not worth a write, since no call outlives the run. */
  noteState(id: string, state: 'pending' | 'queued'): ApprovalRecord | undefined {
    const record = this.#records.get(id);
    if (record === undefined || !isOpen(record) || record.state === state) return undefined;
    const next = { ...record, state };
    this.#records.set(id, next);
    return next;
  }

  async add(record: ApprovalRecord): Promise<void> {
    await this.#store.write(() => this.#store.table.put(record.id, record));
    this.#records.set(record.id, record);
  }

  /**
   * Changes a record that is in one of the states `from`; null when it is not there or in another state by now, and
   * then nothing changed. Rejects when the disk refuses: then too nothing changed.
   */
  async change(
    id: string,
    from: readonly ApprovalState[],
    change: Partial<ApprovalRecord> & Pick<ApprovalRecord, 'state' | 'changedAt'>,
  ): Promise<ApprovalRecord | null> {
    const { table } = this.#store;
    const done = await this.#store.write(() => {
      const present = decodeRecord(id, table.get(id));
      if (present === null || !from.includes(present.state)) return null;
      const next: ApprovalRecord = { ...present, ...change };
      table.put(id, next);
      const pruned = this.#surplus(next);
      for (const old of pruned) table.remove(old);
      return { next, pruned };
    });
    if (done === null) return null;
    this.#records.set(id, done.next);
    for (const old of done.pruned) this.#records.delete(old);
    return done.next;
  }

  /** Settled records beyond what is kept, the longest settled first. Open ones and unused grants are never among them. */
  #surplus(next: ApprovalRecord): string[] {
    if (!isSettled(next)) return [];
    const settled = [...this.#records.values()].filter((record) => isSettled(record) && record.id !== next.id);
    const over = settled.length + 1 - LIMITS.approvalsSettledKept;
    if (over <= 0) return [];
    return settled
      .sort((a, b) => a.changedAt - b.changedAt)
      .slice(0, over)
      .map((record) => record.id);
  }
}

/** No call outlives the run it waited in. An answer or a question of nobody knows which install is good for none. */
function stateAfterRestart(record: ApprovalRecord): ApprovalState {
  if (record.install === null && !isSettled(record)) return 'expired';
  return record.state === 'pending' ? 'queued' : record.state;
}

function isSettled(record: ApprovalRecord): boolean {
  return !isOpen(record) && record.state !== 'once';
}
