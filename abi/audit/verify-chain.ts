import { asFault } from '../errno.js';
import { type AuditEntry, decodeEntry, encodeEntry, GENESIS_HASH, hashEntry } from './entry.js';
import { CompactTree, hashLeaf } from './merkle.js';
import { PRINCIPALS_MAX, type SegmentHead } from './segment-head.js';
import type { Break, Place } from './verify-window.js';

/**
 * A broken link has two ends, and one of the two entries was changed. If no checkpoint before it vouches for the left one, the
 * next checkpoint decides: with the right entry's links put right, do the entries have the signed root?
 */
export interface Suspicion {
  readonly left: { readonly index: number; readonly place: Place };
  /** Leaf hash of the right entry as it would be with the links that its predecessors ask for. */
  readonly repairedLeaf: Buffer;
}

export interface ChainBreak extends Break {
  readonly suspicion: Suspicion | null;
}

interface Head {
  readonly hash: Buffer;
  readonly index: number;
  readonly place: Place;
}

/** Follows the links from entry to entry, of the whole log or of one principal, and grows the tree over all of them. */
export class EntryChain {
  readonly tree = new CompactTree();
  readonly #only: string | null;
  readonly #heads = new Map<string, Head>();
  #last: { readonly bytes: Buffer; readonly place: Place; hash: Buffer | null } | null = null;
  #checked = 0;

  /** @param only the one principal whose chain is followed; null for every entry's */
  constructor(only: string | null) {
    this.#only = only;
  }

  /** Entries whose links were checked. */
  get checked(): number {
    return this.#checked;
  }

  get principals(): number {
    return this.#heads.size;
  }

  /** The next entry. After a Break the entry is not taken and the chain must not be used further. */
  accept(bytes: Buffer, place: Place): ChainBreak | null {
    const index = this.tree.size;
    let entry: AuditEntry;
    try {
      entry = decodeEntry(bytes);
    } catch (thrown) {
      return { index, place, message: asFault(thrown).message, suspicion: null };
    }
    if (entry.index !== index) {
      const message = `entry ${entry.index} stands where entry ${index} belongs: removed, added or out of order`;
      return { index, place, message, suspicion: null };
    }
    if (this.#only === null || this.#only === entry.event.principal) {
      const broken = this.#checkLinks(entry, place);
      if (broken !== null) return broken;
    }
    this.tree.append(hashLeaf(bytes));
    this.#keep(entry.event.principal, bytes, index, place);
    return null;
  }

  #keep(principal: string, bytes: Buffer, index: number, place: Place): void {
    this.#last = { bytes, place, hash: null };
    if (this.#only !== null && this.#only !== principal) return;
    this.#heads.set(principal, { hash: this.#lastHash(), index, place });
    this.#checked += 1;
  }

  /** Of the last entry; computed when it is asked for, since one principal's chain needs only that principal's hashes. */
  #lastHash(): Buffer {
    if (this.#last === null) return GENESIS_HASH;
    this.#last.hash ??= hashEntry(this.#last.bytes);
    return this.#last.hash;
  }

  #checkLinks(entry: AuditEntry, place: Place): ChainBreak | null {
    const head = this.#heads.get(entry.event.principal) ?? null;
    if (head === null && this.#heads.size >= PRINCIPALS_MAX) {
      return { index: entry.index, place, message: `more than ${PRINCIPALS_MAX} principals`, suspicion: null };
    }
    if (this.#only === null && !entry.previous.equals(this.#lastHash())) {
      const last = this.#last;
      const left = last === null ? null : { index: entry.index - 1, place: last.place };
      return this.#breakAt(entry, place, left, 'the entry before it');
    }
    const headHash = head?.hash ?? GENESIS_HASH;
    if (entry.previousOfPrincipal.equals(headHash)) return null;
    // With the whole chain checked up to here, the earlier entry is already vouched for by its successor.
    return this.#breakAt(entry, place, this.#only === null ? null : head, "its principal's entry before it");
  }

  #breakAt(entry: AuditEntry, place: Place, left: Suspicion['left'] | null, what: string): ChainBreak {
    const message = `entry ${entry.index} does not link to ${what}`;
    if (left === null) return { index: entry.index, place, message, suspicion: null };
    const repaired = encodeEntry({
      ...entry,
      previous: this.#lastHash(),
      previousOfPrincipal: this.#heads.get(entry.event.principal)?.hash ?? GENESIS_HASH,
    });
    return { index: entry.index, place, message, suspicion: { left, repairedLeaf: hashLeaf(repaired) } };
  }

  /** What is wrong with a segment's head, or null: it must say what the entries before it say. */
  compareHead(head: SegmentHead, origin: string): string | null {
    if (head.origin !== origin) return `the segment is of another log; expected origin ${origin}`;
    if (head.firstIndex !== this.tree.size) {
      return `the segment begins at entry ${head.firstIndex}; expected ${this.tree.size}`;
    }
    if (!head.previous.equals(this.#lastHash())) return "the segment's head does not link to the entry before it";
    const names = this.#only === null ? [...this.#heads.keys()] : [this.#only];
    const same = names.every((name) => {
      const expected = this.#heads.get(name)?.hash;
      const found = head.principals.get(name);
      return expected === undefined ? found === undefined : found?.equals(expected) === true;
    });
    const complete = this.#only !== null || head.principals.size === names.length;
    return same && complete ? null : "the segment's head does not name the principals' last entries";
  }
}
