import { setImmediate as nextTurn } from 'node:timers/promises';
import { Fault } from '../../abi/errno.js';
import { LIMITS } from '../../abi/limits.js';
import {
  encodeKey,
  encodeNamespace,
  encodePrefix,
  isLongForm,
  packLongValue,
  rangeOfPrefix,
  type StoredKey,
  unpackLongValue,
} from './kv-key.js';
import type { Store } from './store.js';
import type { BytesTable } from './table.js';

export interface KvLimits {
  readonly valueBytesMax: number;
  readonly bytesPerPrincipalMax: number;
  /** Bytes of keys one `list` may return, counting what JSON puts around each. */
  readonly listBytesMax: number;
}

export const KV_LIMITS: KvLimits = {
  valueBytesMax: LIMITS.kvValueBytesMax,
  bytesPerPrincipalMax: LIMITS.storageBytesPerPrincipalMax,
  listBytesMax: LIMITS.payloadBytesMax,
};

/** Keys seen, matched or not, before the event loop gets a turn: a namespace may hold millions. */
const KEYS_PER_TURN = 2048;
/** To see a long key its whole value is read, up to 1 MiB: it counts as so many. */
const LONG_KEY_WEIGHT = 64;
/** What one transaction of a clear removes at most, and one value more: lmdb reads what it removes. */
const REMOVE_BYTES_MAX = 32 * 1024 * 1024;
/** As `KEYS_PER_TURN`, for people whose keys are looked for. */
const PEOPLE_PER_TURN = 128;
/** Names are printable ASCII. */
const EVERY_NAME = { start: Buffer.from([0]), end: Buffer.from([0xff]) };
const JSON_BYTES_PER_KEY = 3;

/**
 * Values by (principal, capsule, key). Keys order by their UTF-8 bytes. What a principal uses is the sum of the
 * stored keys and values as the database holds them; it is changed in the same transaction as the entry.
 */
export class KvStore {
  readonly #store: Store;
  readonly #values: BytesTable;
  readonly #usage: BytesTable;
  readonly #limits: KvLimits;
  /** The last one: a guest makes its calls one after the other. */
  #namespace: { readonly principal: string; readonly capsule: string; readonly bytes: Buffer } | null = null;

  constructor(store: Store, limits: KvLimits = KV_LIMITS) {
    this.#store = store;
    this.#values = store.bytes('kv');
    this.#usage = store.bytes('kv-usage');
    this.#limits = limits;
  }

  /** The value, or null when there is none. The Buffer is the caller's own. */
  get(principal: string, capsule: string, key: string): Buffer | null {
    return this.#read(encodeKey(this.#namespaceOf(principal, capsule), key));
  }

  /**
   * Resolves once the value is on disk. `value` must not change before that.
   * Faults: `invalid_argument`, `too_large`, `quota_exceeded`, `no_space`, `io_error`.
   */
  async set(principal: string, capsule: string, key: string, value: Uint8Array): Promise<void> {
    const stored = encodeKey(this.#namespaceOf(principal, capsule), key);
    const bytes = this.#encodeValue(stored, value);
    await this.#store.write(() => this.#put(principal, stored, bytes));
  }

  /** True when there was a value. Deleting what is not there is no error. */
  async delete(principal: string, capsule: string, key: string): Promise<boolean> {
    const { physical } = encodeKey(this.#namespaceOf(principal, capsule), key);
    const { removed } = await this.#store.write(() => this.#remove(principal, [physical]));
    return removed === 1;
  }

  /**
   * Writes `value` when the present value equals `expected` (null: when there is none). False when it does not,
   * and then nothing changed.
   */
  async compareAndSwap(
    principal: string,
    capsule: string,
    key: string,
    expected: Uint8Array | null,
    value: Uint8Array,
  ): Promise<boolean> {
    const stored = encodeKey(this.#namespaceOf(principal, capsule), key);
    const bytes = this.#encodeValue(stored, value);
    return this.#store.write(() => {
      const present = this.#read(stored);
      const equal = present === null || expected === null ? present === expected : present.equals(expected);
      if (equal) this.#put(principal, stored, bytes);
      return equal;
    });
  }

  /** Full keys that start with `prefix` (empty: all), in order, from one snapshot. `too_large` when they are too many. */
  async list(principal: string, capsule: string, prefix: string): Promise<string[]> {
    const found: string[] = [];
    // Long keys come in the order of their hashes, between the short ones before and after all of them.
    let long: Buffer[] = [];
    const sortLong = (): void => {
      for (const key of long.sort(Buffer.compare)) found.push(key.toString());
      long = [];
    };
    let bytesLeft = this.#limits.listBytesMax;
    for await (const { key, isLong } of this.#walk(principal, capsule, prefix)) {
      bytesLeft -= key.length + JSON_BYTES_PER_KEY;
      if (bytesLeft < 0) {
        const message = `the keys below this prefix have more than ${this.#limits.listBytesMax} bytes, use a longer one`;
        throw new Fault('too_large', message, { field: 'prefix' });
      }
      if (isLong) {
        long.push(key);
        continue;
      }
      sortLong();
      found.push(key.toString());
    }
    sortLong();
    return found;
  }

  /**
   * Removes every key that starts with `prefix` and resolves with how many there were. Done in transactions of at most
   * 2,048 keys, each complete with its change of usage; a crash in between leaves the rest in place.
   */
  async clearPrefix(principal: string, capsule: string, prefix: string): Promise<number> {
    let removed = 0;
    let batch: Buffer[] = [];
    const flush = async (): Promise<void> => {
      for (let keys = batch; keys.length > 0; ) {
        const done = await this.#store.write(() => this.#remove(principal, keys));
        removed += done.removed;
        keys = keys.slice(done.seen);
      }
      batch = [];
    };
    for await (const { physical } of this.#walk(principal, capsule, prefix)) {
      if (batch.push(physical) >= KEYS_PER_TURN) await flush();
    }
    await flush();
    return removed;
  }

  /** How many keys a capsule has. */
  async count(principal: string, capsule: string): Promise<number> {
    let count = 0;
    for (const _ of this.#values.keys(rangeOfPrefix(this.#namespaceOf(principal, capsule), encodePrefix('')))) {
      if (++count % KEYS_PER_TURN === 0) await nextTurn();
    }
    return count;
  }

  /** How many keys a capsule has, for everybody it acted for. */
  async countAll(capsule: string): Promise<number> {
    let count = 0;
    for await (const principal of this.#everybody()) count += await this.count(principal, capsule);
    return count;
  }

  /** Removes what a capsule stored, for everybody it acted for. */
  async clearAll(capsule: string): Promise<void> {
    for await (const principal of this.#everybody()) await this.clearPrefix(principal, capsule, '');
  }

  /** Whoever has a value has a row of usage: it is written in the same transaction, and stays when the value goes. */
  async *#everybody(): AsyncGenerator<string> {
    let seen = 0;
    for (const key of this.#usage.keys(EVERY_NAME)) {
      if (++seen % PEOPLE_PER_TURN === 0) await nextTurn();
      yield key.toString();
    }
  }

  /** Bytes that count against the quota of this principal. */
  usage(principal: string): number {
    const bytes = this.#usage.get(Buffer.from(principal));
    return bytes === null ? 0 : Number(bytes.readBigUInt64LE(0));
  }

  #namespaceOf(principal: string, capsule: string): Buffer {
    const last = this.#namespace;
    if (last?.principal === principal && last.capsule === capsule) return last.bytes;
    const bytes = encodeNamespace(principal, capsule);
    this.#namespace = { principal, capsule, bytes };
    return bytes;
  }

  #read(stored: StoredKey): Buffer | null {
    const bytes = this.#values.get(stored.physical);
    if (bytes === null || stored.full === null) return bytes;
    const { full, value } = unpackLongValue(bytes);
    return full.equals(stored.full) ? value : null;
  }

  /** The keys that start with `prefix`. The event loop gets its turns by what is looked at: a guest can see to it that nothing matches. */
  async *#walk(
    principal: string,
    capsule: string,
    prefix: string,
  ): AsyncGenerator<{ readonly physical: Buffer; readonly key: Buffer; readonly isLong: boolean }, void, void> {
    const namespace = this.#namespaceOf(principal, capsule);
    const wanted = encodePrefix(prefix);
    let seen = 0;
    for (const physical of this.#values.keys(rangeOfPrefix(namespace, wanted))) {
      const isLong = isLongForm(namespace, physical);
      seen += isLong ? LONG_KEY_WEIGHT : 1;
      if (seen >= KEYS_PER_TURN) {
        seen = 0;
        await nextTurn();
      }
      const key = this.#fullKey(namespace, physical);
      if (key !== null && startsWith(key, wanted)) yield { physical, key, isLong };
    }
  }

  /** Null when the entry went away while it was looked at. */
  #fullKey(namespace: Buffer, physical: Buffer): Buffer | null {
    if (!isLongForm(namespace, physical)) return physical.subarray(namespace.length);
    const bytes = this.#values.get(physical);
    return bytes === null ? null : unpackLongValue(bytes).full;
  }

  #encodeValue(stored: StoredKey, value: Uint8Array): Buffer {
    if (value.length > this.#limits.valueBytesMax) {
      const message = `the value has ${value.length} bytes, expected at most ${this.#limits.valueBytesMax}`;
      throw new Fault('too_large', message, { field: 'value' });
    }
    if (stored.full !== null) return packLongValue(stored.full, value);
    return Buffer.isBuffer(value) ? value : Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  }

  /** Inside a write. Refuses before it changes anything. */
  #put(principal: string, stored: StoredKey, bytes: Buffer): void {
    const had = this.#values.sizeOf(stored.physical);
    const before = had === null ? 0 : stored.physical.length + had;
    const after = stored.physical.length + bytes.length;
    const usage = this.usage(principal) - before + after;
    // Shrinking is always allowed, so that a principal over a lowered quota can get below it.
    if (usage > this.#limits.bytesPerPrincipalMax && after > before) {
      const message = `${usage} bytes would be stored, expected at most ${this.#limits.bytesPerPrincipalMax} per principal`;
      throw new Fault('quota_exceeded', message, { field: 'value' });
    }
    this.#values.put(stored.physical, bytes);
    this.#setUsage(principal, usage);
  }

  /** Inside a write. How many of the keys it came to, and how many of those were there. */
  #remove(principal: string, keys: readonly Buffer[]): { readonly seen: number; readonly removed: number } {
    let seen = 0;
    let removed = 0;
    let freed = 0;
    for (const physical of keys) {
      if (freed >= REMOVE_BYTES_MAX) break;
      seen++;
      const had = this.#values.sizeOf(physical);
      if (had === null) continue;
      this.#values.remove(physical);
      removed++;
      freed += physical.length + had;
    }
    if (removed > 0) this.#setUsage(principal, this.usage(principal) - freed);
    return { seen, removed };
  }

  #setUsage(principal: string, bytes: number): void {
    const key = Buffer.from(principal);
    const value = Buffer.alloc(8);
    value.writeBigUInt64LE(BigInt(bytes));
    this.#usage.put(key, value);
  }
}

function startsWith(key: Buffer, prefix: Buffer): boolean {
  return key.length >= prefix.length && key.compare(prefix, 0, prefix.length, 0, prefix.length) === 0;
}
