import type { ApprovalMode, SessionRow } from '../abi/control.js';
import { Fault } from '../abi/errno.js';

/** A conversation: who it acts for, which directory is its workspace, and how approvals are handled. */
export interface Session {
  readonly id: string;
  readonly principal: string;
  readonly workspace: string;
  readonly createdAt: number;
  readonly mode: ApprovalMode;
}

/** Where sessions are kept: a durable map from id to record. */
export interface SessionStore {
  put(id: string, session: Session): Promise<void>;
  all(): Iterable<unknown>;
}

/**
 * Sessions outlive both the CLI and the supervisor: they are written before they are used. Which connection can answer
 * approvals for a session is known only while it is connected.
 */
export class Sessions {
  readonly #store: SessionStore;
  /** Every session of the store: who asks on each host call must not read the disk for it. */
  readonly #known = new Map<string, Session>();
  readonly #listeners = new Map<string, number>();
  readonly #touchedAt = new Map<string, number>();

  constructor(store: SessionStore) {
    this.#store = store;
    for (const record of store.all()) if (isSession(record)) this.#known.set(record.id, record);
  }

  /** Opens a new session, or one that exists: its workspace must then be the same. */
  async open(request: {
    id: string;
    workspace: string;
    mode: ApprovalMode | undefined;
    defaultMode: ApprovalMode;
    principal: string;
    now: number;
  }): Promise<{ session: Session; row: SessionRow }> {
    const known = this.find(request.id);
    if (known !== null && known.workspace !== request.workspace) {
      throw new Fault('conflict', `session ${known.id} belongs to the workspace ${known.workspace}`, {
        field: 'workspace',
      });
    }
    const opened: Session = known ?? {
      id: request.id,
      principal: request.principal,
      workspace: request.workspace,
      createdAt: request.now,
      mode: request.defaultMode,
    };
    const session: Session = { ...opened, mode: request.mode ?? opened.mode };
    await this.#store.put(session.id, session);
    this.#known.set(session.id, session);
    this.touch(session.id, request.now);
    return { session, row: { ...session, resumed: known !== null } };
  }

  find(id: string): Session | null {
    return this.#known.get(id) ?? null;
  }

  get(id: string): Session {
    const session = this.find(id);
    if (session === null) throw new Fault('not_found', `no session ${id}`, { field: 'session' });
    return session;
  }

  list(): Session[] {
    return [...this.#known.values()].sort((a, b) => a.createdAt - b.createdAt);
  }

  /** A person is there to answer for this session until the returned function is called. */
  addListener(id: string): () => void {
    this.#listeners.set(id, (this.#listeners.get(id) ?? 0) + 1);
    let open = true;
    return () => {
      if (!open) return;
      open = false;
      const left = (this.#listeners.get(id) ?? 1) - 1;
      if (left === 0) this.#listeners.delete(id);
      else this.#listeners.set(id, left);
    };
  }

  /** Somebody spoke in the session. */
  touch(id: string, now: number): void {
    this.#touchedAt.set(id, now);
  }

  /** Sessions that were spoken in since then. */
  active(since: number): Session[] {
    for (const [id, at] of this.#touchedAt) if (at < since) this.#touchedAt.delete(id);
    return [...this.#touchedAt.keys()].map((id) => this.#known.get(id)).filter((session) => session !== undefined);
  }

  someoneListens(id: string): boolean {
    return this.#listeners.has(id);
  }
}

function isSession(record: unknown): record is Session {
  return (
    typeof record === 'object' &&
    record !== null &&
    'id' in record &&
    'workspace' in record &&
    'principal' in record &&
    'mode' in record
  );
}
