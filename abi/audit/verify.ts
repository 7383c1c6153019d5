import { asFault, Fault, type FaultCode } from '../errno.js';
import { type Checkpoint, claimedSignatures, parseCheckpoint } from './checkpoint.js';
import { type CompactTree, hashLeaf } from './merkle.js';
import type { NoteKey } from './note.js';
import { RECORD, SegmentReader, type SegmentRecord } from './segment.js';
import { decodeSegmentHead } from './segment-head.js';
import { createPortableVerifier, createVerifier } from './signing.js';
import { type ChainBreak, EntryChain } from './verify-chain.js';
import { type Break, CheckpointWindow, type CheckSignature, type Place } from './verify-window.js';

/** One segment file, in the order of the log. The verifier does no I/O: whoever calls it reads the file. */
export interface SegmentSource {
  readonly name: string;
  readonly chunks: AsyncIterable<Buffer> | Iterable<Buffer>;
}

export interface VerifyOptions {
  /** The pinned key. A key found beside the log proves nothing: whoever rewrites the log can sign it again. */
  readonly key: NoteKey;
  /** A checkpoint from another place. The log must contain at least what it covers. */
  readonly known?: string;
  /** Follow the links of this principal only. All entries are still checked against the signed roots. */
  readonly principal?: string;
  /** Also verify signatures of checkpoints whose entries a later checkpoint proves. */
  readonly everySignature?: boolean;
  /** Verify signatures in plain JavaScript instead of `node:crypto`. */
  readonly portable?: boolean;
}

export interface BadEntry {
  /** The first entry that is not proven to be what was written; the tree's size if something behind the last one is bad. */
  readonly index: number;
  /** The last one that it may be instead. More than `index` only where the log does not tell them apart. */
  readonly last: number;
  readonly segment: string;
  readonly offset: number;
  readonly code: FaultCode;
  readonly message: string;
}

export interface VerifyReport {
  /** Entries whose links were checked: all, or those of the one principal. */
  readonly entries: number;
  /** Entries that a signed checkpoint proves. */
  readonly treeSize: number;
  readonly principals: number;
  readonly firstBad: BadEntry | null;
  /** The latest checkpoint that is proven; null for an empty log. */
  readonly checkpoint: string | null;
  /** Well-formed rest behind the last checkpoint: written, never acknowledged. Not an error, and no evidence either. */
  readonly unsigned: { readonly entries: number; readonly bytes: number };
}

const ORIGIN_PLACE: Place = { segment: '', offset: 0 };

/**
 * Reads a whole log once and reports the first entry that is not proven. Throws Fault `bad_proof` if the known
 * checkpoint itself is not signed by the pinned key; errors of `chunks` pass through. Everything else is in the report.
 */
export async function verifyLog(
  segments: AsyncIterable<SegmentSource> | Iterable<SegmentSource>,
  options: VerifyOptions,
): Promise<VerifyReport> {
  const { publicKey } = options.key;
  const check = options.portable === true ? createPortableVerifier(publicKey) : createVerifier(publicKey);
  const run = new VerifyRun(options, check, await openKnown(options.known, options.key, check));
  for await (const segment of segments) {
    if (!(await run.readSegment(segment))) break;
  }
  return run.finish();
}

async function openKnown(text: string | undefined, key: NoteKey, check: CheckSignature): Promise<Checkpoint | null> {
  if (text === undefined) return null;
  const bad = (message: string, cause?: unknown): Fault =>
    new Fault('bad_proof', `known checkpoint: ${message}`, { field: 'known', cause });
  try {
    const known = parseCheckpoint(text);
    const signed = Buffer.from(known.note.text);
    for (const signature of claimedSignatures(known, key)) {
      if (!(await check(signed, signature))) throw bad('it is not signed by the pinned key');
    }
    return known;
  } catch (thrown) {
    const fault = asFault(thrown);
    throw fault.code === 'bad_proof' ? fault : bad(fault.message, thrown);
  }
}

/** Life: reading, then perhaps deciding a suspicion until the next checkpoint, then finished with or without a bad entry. */
class VerifyRun {
  readonly #key: NoteKey;
  readonly #known: Checkpoint | null;
  readonly #chain: EntryChain;
  readonly #window: CheckpointWindow;
  readonly #check: CheckSignature;
  #bad: BadEntry | null = null;
  #suspect: { readonly broken: ChainBreak; readonly repaired: CompactTree } | null = null;
  /** The first entry behind the last checkpoint. */
  #batch: { index: number; place: Place } | null = null;
  #unsignedBytes = 0;
  #torn: Place | null = null;
  #place: Place = ORIGIN_PLACE;

  constructor(options: VerifyOptions, check: CheckSignature, known: Checkpoint | null) {
    this.#key = options.key;
    this.#known = known;
    this.#check = check;
    this.#chain = new EntryChain(options.principal ?? null);
    this.#window = new CheckpointWindow(options.key, check, options.everySignature === true);
  }

  /** False: a bad entry was found, nothing more is read. */
  async readSegment(segment: SegmentSource): Promise<boolean> {
    const size = this.#chain.tree.size;
    if (this.#torn !== null) await this.#fail({ index: size, place: this.#torn, message: 'a record is cut short' });
    const reader = new SegmentReader();
    for await (const chunk of segment.chunks) {
      for (const record of reader.push(chunk)) {
        const waiting = this.#take(record, segment.name);
        if (waiting !== null) await waiting;
        if (this.#bad !== null) return false;
      }
      if (reader.fault !== null) {
        const place = { segment: segment.name, offset: reader.offset };
        await this.#fail({ index: this.#indexNow(), place, message: reader.fault.message });
        return false;
      }
    }
    if (reader.pendingBytes > 0) {
      this.#torn = { segment: segment.name, offset: reader.offset };
      this.#unsignedBytes += reader.pendingBytes;
    }
    return this.#bad === null;
  }

  #indexNow(): number {
    return this.#suspect?.repaired.size ?? this.#chain.tree.size;
  }

  /** A promise only where there is something to wait for: one per entry would cost more than its checks. */
  #take(record: SegmentRecord, segment: string): Promise<void> | null {
    const place = { segment, offset: record.offset };
    this.#place = place;
    if ((record.type === RECORD.segment) !== (record.offset === 0)) {
      return this.#fail({ index: this.#indexNow(), place, message: 'a segment begins with its head, and has one' });
    }
    if (this.#suspect !== null) return this.#decide(record);
    if (record.type === RECORD.segment) return this.#takeHead(record, place);
    if (record.type === RECORD.checkpoint) return this.#takeCheckpoint(record, place);
    return this.#takeEntry(record, place);
  }

  #takeHead(record: SegmentRecord, place: Place): Promise<void> | null {
    const index = this.#chain.tree.size;
    if (this.#batch !== null) {
      const message = 'entries without a checkpoint, and the log goes on behind them';
      return this.#fail({ ...this.#batch, message });
    }
    try {
      const message = this.#chain.compareHead(decodeSegmentHead(record.payload), this.#key.name);
      return message === null ? null : this.#fail({ index, place, message });
    } catch (thrown) {
      return this.#fail({ index, place, message: asFault(thrown).message });
    }
  }

  #takeEntry(record: SegmentRecord, place: Place): Promise<void> | null {
    const broken = this.#chain.accept(record.payload, place);
    if (broken !== null) return this.#suspectOrFail(broken);
    const size = this.#chain.tree.size;
    this.#batch ??= { index: size - 1, place };
    this.#unsignedBytes += record.payload.length;
    if (this.#known?.size !== size || this.#chain.tree.root().equals(this.#known.root)) return null;
    const message = `the first ${size} entries are not those of the known checkpoint: a fork, or a rewritten log`;
    return this.#fail({ index: size - 1, place, message });
  }

  #takeCheckpoint(record: SegmentRecord, place: Place): Promise<void> | null {
    if (this.#batch === null) {
      return this.#fail({ index: this.#chain.tree.size, place, message: 'a checkpoint that covers nothing new' });
    }
    const broken = this.#window.push(record.payload, this.#chain.tree.clone(), this.#batch, place);
    if (broken !== null) return this.#fail(broken);
    this.#batch = null;
    this.#unsignedBytes = 0;
    return this.#window.full ? this.#settle() : null;
  }

  async #settle(): Promise<void> {
    const broken = await this.#window.settle();
    if (broken !== null) this.#bad ??= badEntry(broken);
  }

  /** Records the first bad entry; a checkpoint that still waits may show an earlier one. */
  async #fail(broken: Break): Promise<void> {
    await this.#settle();
    const left = this.#suspect === null ? null : blameLeft(this.#suspect.broken);
    this.#bad ??= badEntry(left ?? broken);
  }

  async #suspectOrFail(broken: ChainBreak): Promise<void> {
    await this.#settle();
    if (this.#bad !== null) return;
    const { suspicion } = broken;
    if (suspicion === null || suspicion.left.index < this.#window.provenSize) {
      this.#bad = badEntry(broken);
      return;
    }
    const repaired = this.#chain.tree.clone();
    repaired.append(suspicion.repairedLeaf);
    this.#suspect = { broken, repaired };
  }

  #decide(record: SegmentRecord): Promise<void> | null {
    const suspect = this.#suspect;
    if (suspect === null) return null;
    if (record.type === RECORD.entry) {
      suspect.repaired.append(hashLeaf(record.payload));
      return null;
    }
    return this.#decideAt(record, suspect.broken, suspect.repaired);
  }

  async #decideAt(record: SegmentRecord, broken: ChainBreak, repaired: CompactTree): Promise<void> {
    const window = new CheckpointWindow(this.#key, this.#check, true);
    const first = { index: broken.index, place: broken.place };
    const rightIsBad =
      record.type === RECORD.checkpoint &&
      window.push(record.payload, repaired, first, broken.place) === null &&
      (await window.settle()) === null;
    this.#bad = badEntry(rightIsBad ? broken : blameLeft(broken));
  }

  async finish(): Promise<VerifyReport> {
    if (this.#bad === null) await this.#settle();
    if (this.#bad === null && this.#suspect !== null) this.#bad = badEntry(blameLeft(this.#suspect.broken));
    const { last, provenSize } = this.#window;
    if (this.#bad === null && this.#known !== null && provenSize < this.#known.size) {
      const message = `the log ends after ${provenSize} signed entries; the known checkpoint covers ${this.#known.size}`;
      this.#bad = badEntry({ index: provenSize, place: this.#torn ?? this.#place, message });
    }
    return {
      entries: this.#chain.checked,
      treeSize: provenSize,
      principals: this.#chain.principals,
      firstBad: this.#bad,
      checkpoint: last?.text ?? null,
      unsigned: {
        entries: this.#batch === null ? 0 : this.#chain.tree.size - this.#batch.index,
        bytes: this.#unsignedBytes,
      },
    };
  }
}

function badEntry({ index, last = index, place, message }: Break): BadEntry {
  return { index, last, segment: place.segment, offset: place.offset, code: 'bad_log', message };
}

function blameLeft(broken: ChainBreak): Break {
  const { left } = broken.suspicion as NonNullable<ChainBreak['suspicion']>;
  return { ...left, last: broken.index, message: `entry ${left.index} is not what entry ${broken.index} links to` };
}
