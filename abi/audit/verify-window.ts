import { asFault } from '../errno.js';
import { claimedSignatures, parseCheckpoint } from './checkpoint.js';
import type { CompactTree } from './merkle.js';
import type { NoteKey } from './note.js';

/** Where something stands in the log's files. */
export interface Place {
  readonly segment: string;
  /** Bytes from the start of the segment. */
  readonly offset: number;
}

export interface Break {
  readonly index: number;
  /** The last entry that it may be instead, where the log does not tell them apart. */
  readonly last?: number;
  readonly place: Place;
  readonly message: string;
}

/** Verifies one signature; the portable verifier is asynchronous. */
export type CheckSignature = (message: Buffer, signature: Buffer) => boolean | Promise<boolean>;

interface Waiting {
  readonly bytes: Buffer;
  /** The tree as it was computed from the entries before this checkpoint. */
  readonly tree: CompactTree;
  /** The first entry that this checkpoint covers and none before it does. */
  readonly firstIndex: number;
  readonly firstPlace: Place;
  readonly place: Place;
}

const WAITING_MAX = 1024;

/**
 * Checkpoints that were met and not yet verified. A signed root covers all entries before it, so a good last checkpoint vouches for
 * the entries under all earlier ones, and one signature and one root stand for up to 1,024. Only when it is not good are
 * the earlier ones looked at, to find where it begins.
 *
 * Of a checkpoint whose entries a later one proves, only the origin and the size are checked; `everySignature` checks all of each.
 */
export class CheckpointWindow {
  readonly #key: NoteKey;
  readonly #check: CheckSignature;
  readonly #waitingMax: number;
  #waiting: Waiting[] = [];
  #last: { readonly text: string; readonly size: number } | null = null;

  constructor(key: NoteKey, check: CheckSignature, everySignature: boolean) {
    this.#key = key;
    this.#check = check;
    this.#waitingMax = everySignature ? 1 : WAITING_MAX;
  }

  /** The latest checkpoint that is proven: its text and tree size. */
  get last(): { readonly text: string; readonly size: number } | null {
    return this.#last;
  }

  get provenSize(): number {
    return this.#last?.size ?? 0;
  }

  /**
   * Takes the checkpoint at `place`, with the tree of the entries before it (not changed afterwards by the caller).
   * Null: fine so far, and `full` says whether to settle. A Break is already certain, unless settling finds an earlier one.
   */
  push(bytes: Buffer, tree: CompactTree, first: { index: number; place: Place }, place: Place): Break | null {
    const begin = Buffer.from(`${this.#key.name}\n${tree.size}\n`);
    if (bytes.subarray(0, begin.length).equals(begin)) {
      this.#waiting.push({ bytes, tree, firstIndex: first.index, firstPlace: first.place, place });
      return null;
    }
    try {
      const checkpoint = parseCheckpoint(bytes.toString('utf8'));
      claimedSignatures(checkpoint, this.#key);
      const { size } = checkpoint;
      const message = `the checkpoint here is for ${size} entries; there are ${tree.size} before it`;
      // Too few entries with whole links: the last are missing. Too many: what is behind the signed ones was added.
      return { index: size > tree.size ? tree.size : Math.max(first.index, size), place, message };
    } catch (thrown) {
      return { index: first.index, place, message: asFault(thrown).message };
    }
  }

  get full(): boolean {
    return this.#waiting.length >= this.#waitingMax;
  }

  /** Verifies what waits. Null: all of it is proven. */
  async settle(): Promise<Break | null> {
    const waiting = this.#waiting;
    this.#waiting = [];
    const last = waiting.at(-1);
    if (last === undefined) return null;
    if ((await this.#judge(last)) === null) {
      this.#last = { text: last.bytes.toString('utf8'), size: last.tree.size };
      return null;
    }
    for (const one of waiting) {
      const broken = await this.#judge(one);
      if (broken !== null) return broken;
      this.#last = { text: one.bytes.toString('utf8'), size: one.tree.size };
    }
    return null;
  }

  async #judge(one: Waiting): Promise<Break | null> {
    const last = one.tree.size - 1;
    const foreign = (message: string): Break => ({ index: one.firstIndex, last, place: one.place, message });
    try {
      const checkpoint = parseCheckpoint(one.bytes.toString('utf8'));
      const message = Buffer.from(checkpoint.note.text);
      for (const signature of claimedSignatures(checkpoint, this.#key)) {
        if (!(await this.#check(message, signature))) return foreign('the checkpoint is not signed by the pinned key');
      }
      if (one.tree.root().equals(checkpoint.root)) return null;
    } catch (thrown) {
      return foreign(asFault(thrown).message);
    }
    const message = `the entries ${one.firstIndex} to ${last} are not those that were signed; the first changed one is among them`;
    return { index: one.firstIndex, last, place: one.firstPlace, message };
  }
}
