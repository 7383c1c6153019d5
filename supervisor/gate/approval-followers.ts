import type { ApprovalRow } from '../../abi/control.js';
import { asFault, type Fault } from '../../abi/errno.js';
import { type ApprovalRecord, toApprovalRow } from './approval-record.js';

export type Follower = (row: ApprovalRow) => void;

/** Who is told of questions and of every change of one. A follower that throws disturbs no other. */
export class ApprovalFollowers {
  /** The session each of them follows; null: all. */
  readonly #sessions = new Map<Follower, string | null>();
  readonly #onFault: (fault: Fault) => void;

  constructor(onFault: (fault: Fault) => void) {
    this.#onFault = onFault;
  }

  /** Tells it what is open now; afterwards it is told until released. */
  add(session: string | null, follower: Follower, open: readonly ApprovalRow[]): () => void {
    this.#sessions.set(follower, session);
    for (const row of open) this.#tell(follower, row);
    return () => {
      this.#sessions.delete(follower);
    };
  }

  emit(record: ApprovalRecord): void {
    const row = toApprovalRow(record);
    for (const [follower, session] of [...this.#sessions]) {
      if (session === null || session === record.session) this.#tell(follower, row);
    }
  }

  clear(): void {
    this.#sessions.clear();
  }

  #tell(follower: Follower, row: ApprovalRow): void {
    try {
      follower(row);
    } catch (thrown) {
      this.#onFault(asFault(thrown));
    }
  }
}
