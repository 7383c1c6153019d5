import type { Database } from 'lmdb';
import { Fault } from '../../abi/errno.js';
import type { CommitQueue } from './commit-queue.js';

export interface KeyRange {
  /** First key, inclusive. */
  readonly start: Buffer;
  /** First key that is not part of the range any more. */
  readonly end: Buffer;
  readonly limit?: number;
}

/** Bytes to bytes, ordered by key. Reads see the last commit, or inside a write also what that write did so far. */
export class BytesTable {
  readonly #database: Database<Buffer, Buffer>;
  readonly #queue: CommitQueue;

  constructor(database: Database<Buffer, Buffer>, queue: CommitQueue) {
    this.#database = database;
    this.#queue = queue;
  }

  /** A copy of the value: lmdb reuses its own read buffer at the next read, so handing that out would alias values. */
  get(key: Buffer): Buffer | null {
    this.#queue.checkOpen();
    const view = this.#database.getBinaryFast(key);
    if (view === undefined) return null;
    // The library's `getBinary` copies by the slow `slice` of typed arrays. The view is of its read buffer, whose `length` lies.
    const copy = Buffer.allocUnsafe(view.length);
    copy.set(view.subarray(0, view.length));
    return copy;
  }

  /** Bytes of the value, without copying it out; null when the key is absent. */
  sizeOf(key: Buffer): number | null {
    this.#queue.checkOpen();
    return this.#database.getBinaryFast(key)?.length ?? null;
  }

  keys(range: KeyRange): Iterable<Buffer> {
    this.#queue.checkOpen();
    return this.#queue.scan(this.#database.getKeys({ ...range }));
  }

  entries(range: KeyRange): Iterable<{ readonly key: Buffer; readonly value: Buffer }> {
    this.#queue.checkOpen();
    return this.#queue.scan(this.#database.getRange({ ...range }));
  }

  /** Only inside `Store.write`. */
  put(key: Buffer, value: Buffer): void {
    this.#queue.noteWrite();
    this.#database.putSync(key, value);
  }

  /** Only inside `Store.write`. */
  remove(key: Buffer): void {
    this.#queue.noteWrite();
    this.#database.removeSync(key);
  }
}

const FIRST_KEY = Buffer.from([0]);
const AFTER_LAST_KEY = Buffer.from([0xff]);
/** An lmdb key holds at most 1,978 bytes with its default pages. */
const RECORD_KEY_BYTES_MAX = 512;

/**
 * Text keys to JSON values. What comes back is `unknown`: the file may be from another version or edited by hand,
 * so whoever owns the table checks the shape of each record.
 */
export class RecordTable {
  readonly #table: BytesTable;

  constructor(table: BytesTable) {
    this.#table = table;
  }

  get(key: string): unknown {
    const bytes = this.#table.get(recordKey(key));
    return bytes === null ? undefined : decodeRecord(bytes);
  }

  /** Every record in key order; one that is not JSON comes as undefined. */
  *all(): Generator<readonly [string, unknown]> {
    for (const { key, value } of this.#table.entries({ start: FIRST_KEY, end: AFTER_LAST_KEY })) {
      yield [key.toString(), decodeRecord(value)];
    }
  }

  /** Only inside `Store.write`. */
  put(key: string, value: unknown): void {
    this.#table.put(recordKey(key), Buffer.from(JSON.stringify(value)));
  }

  /** Only inside `Store.write`. */
  remove(key: string): void {
    this.#table.remove(recordKey(key));
  }
}

function recordKey(key: string): Buffer {
  const bytes = Buffer.from(key);
  if (bytes.length === 0 || bytes.length > RECORD_KEY_BYTES_MAX || bytes[0] === 0xff) {
    throw new Fault('invalid_argument', `a record key has 1 to ${RECORD_KEY_BYTES_MAX} bytes`, { field: 'key' });
  }
  return bytes;
}

function decodeRecord(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString());
  } catch {
    return undefined; // the owner of the table drops what is not a record
  }
}
