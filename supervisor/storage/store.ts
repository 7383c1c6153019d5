import { type Database, open, type RootDatabase } from 'lmdb';
import { Fault } from '../../abi/errno.js';
import { CommitQueue } from './commit-queue.js';
import { isNoSpace } from './disk-fault.js';
import { prepareStateFiles, probeSpace } from './state-files.js';
import { BytesTable, RecordTable } from './table.js';

/** Every table of the database. Adding one here is all it takes: it is created at the next boot. */
const BYTES_TABLES = ['kv', 'kv-usage'] as const;
const RECORD_TABLES = ['approvals', 'sessions', 'meta', 'identities', 'timers'] as const;
export type BytesTableName = (typeof BYTES_TABLES)[number];
export type RecordTableName = (typeof RECORD_TABLES)[number];

export interface StoreOptions {
  /** Address space reserved for the file at the start; lmdb maps more when the data outgrows it. */
  readonly mapBytes?: number;
  /** How long a commit may take before its writers are answered `io_error` and new writes are refused. */
  readonly commitWaitMs?: number;
}

const MAP_BYTES_DEFAULT = 4 * 1024 * 1024 * 1024;
const COMMIT_WAIT_MS_DEFAULT = 30_000;

/**
 * The supervisor's durable state: one lmdb environment, several tables, one queue of writes.
 * A write resolves after its transaction is on disk (fdatasync); until then no reader sees it.
 */
export class Store {
  readonly #root: RootDatabase<Buffer, Buffer>;
  readonly #queue: CommitQueue;
  readonly #bytes: ReadonlyMap<string, BytesTable>;
  readonly #records: ReadonlyMap<string, RecordTable>;

  constructor(
    root: RootDatabase<Buffer, Buffer>,
    databases: ReadonlyMap<string, Database<Buffer, Buffer>>,
    queue: CommitQueue,
  ) {
    this.#root = root;
    this.#queue = queue;
    this.#bytes = new Map(BYTES_TABLES.map((name) => [name, new BytesTable(databases.get(name)!, queue)]));
    this.#records = new Map(
      RECORD_TABLES.map((name) => [name, new RecordTable(new BytesTable(databases.get(name)!, queue))]),
    );
  }

  bytes(name: BytesTableName): BytesTable {
    return this.#bytes.get(name)!;
  }

  records(name: RecordTableName): RecordTable {
    return this.#records.get(name)!;
  }

  /**
   * Runs `work` inside the next write transaction and resolves with its result once that is on disk. `work` must be
   * synchronous; it sees everything written before it. When it throws, nothing it wrote stays, and the promise rejects
   * with what it threw. Rejects with `no_space` or `io_error` when the commit fails: then too nothing was written.
   */
  write<T>(work: () => T): Promise<T> {
    return this.#queue.add(work);
  }

  /** Waits for the writes that are under way, then releases the files. Writes after this are refused. */
  async close(): Promise<void> {
    await this.#queue.close();
    await this.#root.close();
  }
}

/** Opens the state database in `dir`, making it (0700, files 0600) when it is missing. */
export function openStore(dir: string, options: StoreOptions = {}): Store {
  prepareStateFiles(dir);
  let root: RootDatabase<Buffer, Buffer> | undefined;
  try {
    root = open<Buffer, Buffer>({
      path: dir,
      noSubdir: false,
      mapSize: options.mapBytes ?? MAP_BYTES_DEFAULT,
      maxDbs: 32,
      // A commit is acknowledged after its fdatasync, not before it.
      overlappingSync: false,
      // With it on, lmdb makes a promise of its own per turn and drops it: a failed commit would end the process.
      eventTurnBatching: false,
    } as Parameters<typeof open>[0] & { path: string });
    const databases = openTables(root, dir);
    const queue = new CommitQueue(root, dir, options.commitWaitMs ?? COMMIT_WAIT_MS_DEFAULT);
    return new Store(root, databases, queue);
  } catch (cause) {
    root?.close().catch(() => undefined);
    if (cause instanceof Fault) throw cause;
    if (isNoSpace(cause)) throw new Fault('no_space', 'no space left for the state database', { cause });
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new Fault('io_error', `the state database cannot be opened: ${reason}`, { field: 'var/state', cause });
  }
}

function openTables(root: RootDatabase<Buffer, Buffer>, dir: string): Map<string, Database<Buffer, Buffer>> {
  const databases = new Map<string, Database<Buffer, Buffer>>();
  const shape = { encoding: 'binary', keyEncoding: 'binary' } as const;
  let probed = false;
  for (const name of [...BYTES_TABLES, ...RECORD_TABLES]) {
    // lmdb answers undefined for a missing table here, which its types do not say.
    let database = root.openDB(name, { ...shape, create: false } as typeof shape) as
      | Database<Buffer, Buffer>
      | undefined;
    if (database === undefined) {
      if (!probed) probeSpace(dir);
      probed = true;
      database = root.openDB<Buffer, Buffer>(name, shape);
    }
    databases.set(name, database);
  }
  return databases;
}
