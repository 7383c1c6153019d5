import { join } from 'node:path';
import { type Checkpoint, openCheckpoint } from '../../abi/audit/checkpoint.js';
import {
  checkConsistency,
  checkInclusion,
  hashLeaf,
  proveConsistency,
  proveInclusion,
} from '../../abi/audit/merkle.js';
import { createVerifier } from '../../abi/audit/signing.js';
import { asFault, Fault } from '../../abi/errno.js';
import { syncDirectory } from '../private-files/directory.js';
import { type ChainState, commitBatch, emptyChain, headRecord, stageBatch } from './batch.js';
import { faultOfDisk, type OpenDiskFile, openDiskFile } from './disk-file.js';
import type { LogKey } from './key-file.js';
import { readEntries } from './log-reader.js';
import { planRecovery, type RecoveryPlan, rebuildTree, recoverLinks, recoverTree } from './recovery.js';
import { SegmentFile } from './segment-file.js';
import { TreeFile } from './tree-file.js';

export interface LogOptions {
  readonly directory: string;
  readonly key: LogKey;
  /** A segment that has reached this size is followed by a new one. */
  readonly segmentBytesMax?: number;
  readonly openFile?: OpenDiskFile;
}

export interface Appended {
  readonly firstIndex: number;
  /** What the checkpoint covers. */
  readonly treeSize: number;
  readonly checkpoint: string;
}

export interface OpenedLog {
  readonly log: AuditLog;
  readonly recovered: RecoveryPlan['recovered'];
  /** Consistency proof from the known checkpoint to `log.checkpoint`. */
  readonly proof: readonly Buffer[];
}

/** Small enough to read whole at a start (about 40,000 entries), large enough that heads are a small part. */
const SEGMENT_BYTES_MAX = 8 * 1024 * 1024;
const TREE_FILE = 'tree.hashes';

/**
 * The log in its directory: segments, and the tree's hashes beside them. One append at a time (group-commit.ts sees to that).
 * The caller holds the directory's lock.
 */
export class AuditLog {
  readonly #options: Required<LogOptions>;
  readonly #tree: TreeFile;
  #state: ChainState;
  #segment: SegmentFile | null;
  #trusted = true;

  private constructor(options: Required<LogOptions>, tree: TreeFile, state: ChainState, segment: SegmentFile | null) {
    this.#options = options;
    this.#tree = tree;
    this.#state = state;
    this.#segment = segment;
  }

  /**
   * Opens the log and cuts what was never acknowledged. `known` is the checkpoint that the supervisor kept: a log that does not
   * extend it is refused before anything is cut. Throws Fault `bad_log`, `no_space` or `io_error`.
   */
  static async open(options: LogOptions, known: string | null): Promise<OpenedLog> {
    const complete = { segmentBytesMax: SEGMENT_BYTES_MAX, openFile: openDiskFile, ...options };
    const { directory, key, openFile } = complete;
    const plan = await planRecovery(directory, key);
    const size = plan.end?.checkpoint.size ?? 0;
    const wanted = openKnown(known, key, size);
    try {
      const tree = new TreeFile(openFile(join(directory, TREE_FILE), 'openOrCreate'));
      const { state, proof } = await recoverState(plan, complete, tree, wanted);
      const segment = await applyPlan(plan, directory, openFile);
      return { log: new AuditLog(complete, tree, state, segment), recovered: plan.recovered, proof };
    } catch (thrown) {
      throw faultOfDisk('opening the log', thrown);
    }
  }

  get size(): number {
    return this.#state.tree.size;
  }

  /** The latest signed checkpoint. */
  get checkpoint(): string {
    return this.#state.checkpoint;
  }

  /** False after a failure that could not be undone: the process must end, and recovery looks at the files anew. */
  get trusted(): boolean {
    return this.#trusted;
  }

  /**
   * Writes the events (canonical bytes) and one signed checkpoint, and returns when they are durable. On a Fault (`no_space`,
   * `io_error`, `bad_log`, `quota_exceeded`) nothing of them is in the log and it can be tried again, unless `trusted` is false.
   */
  async append(events: readonly Buffer[]): Promise<Appended> {
    if (!this.#trusted) throw new Fault('io_error', 'the log is not to be trusted after a failed write');
    const { directory, key, openFile, segmentBytesMax } = this.#options;
    const batch = stageBatch(this.#state, events, key);
    const current = this.#segment;
    const fresh = current === null || current.size >= segmentBytesMax;
    const target = fresh ? SegmentFile.create(directory, this.size, openFile) : current;
    try {
      target.write(fresh ? Buffer.concat([headRecord(this.#state, key), batch.records]) : batch.records);
      // Before the sync, so that a disk without room for the hashes fails the batch and nothing is left half done.
      this.#tree.append(this.size, batch.nodes);
      await target.sync();
    } catch (thrown) {
      await this.#undo(target, fresh);
      throw faultOfDisk('writing the log', thrown);
    }
    if (fresh) current?.close();
    this.#segment = target;
    this.#state = commitBatch(this.#state, batch);
    return { firstIndex: batch.firstIndex, treeSize: this.size, checkpoint: this.checkpoint };
  }

  async #undo(target: SegmentFile, fresh: boolean): Promise<void> {
    try {
      if (fresh) target.discard();
      else await target.cut();
    } catch (thrown) {
      this.#trusted = false;
      throw asFault(thrown);
    }
  }

  /** The last `lines` entries, oldest first. */
  tail(lines: number): AsyncGenerator<Buffer> {
    return readEntries(this.#options.directory, Math.max(0, this.size - lines), this.size);
  }

  /** An entry and its path to the current root. Throws Fault `invalid_argument` for an index that is not in the log. */
  async prove(index: number): Promise<{ entry: Buffer; hashes: Buffer[]; checkpoint: string }> {
    const { tree, checkpoint } = this.#state;
    const size = tree.size;
    const root = tree.root();
    const hashes = proveInclusion(this.#tree.source, index, size);
    for await (const entry of readEntries(this.#options.directory, index, index + 1)) {
      // The hash file is not protected: what it gave is checked like a stranger's.
      if (checkInclusion(hashLeaf(entry), index, size, hashes, root)) return { entry, hashes, checkpoint };
    }
    throw new Fault('bad_log', `entry ${index} is not the one that was signed`, { field: 'index' });
  }

  /** That the log now begins with its first `from` entries. Throws Fault `invalid_argument` for `from` beyond the end. */
  proveConsistency(from: number): { hashes: Buffer[]; checkpoint: string } {
    return { hashes: proveConsistency(this.#tree.source, from, this.size), checkpoint: this.checkpoint };
  }

  close(): void {
    this.#segment?.close();
    this.#tree.close();
  }
}

function openKnown(text: string | null, key: LogKey, size: number): Checkpoint | null {
  if (text === null) return null;
  let known: Checkpoint;
  try {
    known = openCheckpoint(text, key.key, createVerifier(key.key.publicKey));
  } catch (thrown) {
    throw new Fault('bad_log', `the stored checkpoint: ${asFault(thrown).message}`, { field: 'known', cause: thrown });
  }
  if (known.size <= size) return known;
  const message = `the log ends after ${size} entries; the stored checkpoint covers ${known.size}: it was cut or replaced`;
  throw new Fault('bad_log', message, { field: 'known' });
}

interface Recovered {
  readonly state: ChainState;
  readonly proof: readonly Buffer[];
}

async function recoverState(
  plan: RecoveryPlan,
  { directory, key }: Required<LogOptions>,
  file: TreeFile,
  known: Checkpoint | null,
): Promise<Recovered> {
  const { end } = plan;
  if (end === null) {
    file.settle(0, []);
    return { state: emptyChain(key), proof: [] };
  }
  let tree = recoverTree(end, file);
  let proof = tree === null ? null : proveExtends(file, known, end.checkpoint);
  // Wrong inner hashes could make a good log look like a fork, so they are made anew before it is called one.
  if (tree === null || proof === null) {
    tree = await rebuildTree(directory, end, file);
    proof = proveExtends(file, known, end.checkpoint);
  }
  if (proof === null) {
    const message = `the first ${known?.size} entries are not those of the stored checkpoint: a fork, or a rewritten log`;
    throw new Fault('bad_log', message, { field: 'known' });
  }
  return { state: { tree, ...recoverLinks(end), checkpoint: end.checkpointText }, proof };
}

/** The consistency proof from `known` to `now`, or null if there is none. */
function proveExtends(file: TreeFile, known: Checkpoint | null, now: Checkpoint): Buffer[] | null {
  if (known === null) return [];
  const proof = proveConsistency(file.source, known.size, now.size);
  return checkConsistency(known.size, known.root, now.size, now.root, proof) ? proof : null;
}

/** Nothing is cut before everything was checked. */
async function applyPlan(plan: RecoveryPlan, directory: string, openFile: OpenDiskFile): Promise<SegmentFile | null> {
  if (plan.unborn !== null) {
    SegmentFile.open(directory, plan.unborn, 0, openFile).discard();
    await syncDirectory(directory);
  }
  if (plan.end === null) return null;
  const segment = SegmentFile.open(directory, plan.end.name, plan.end.keptBytes, openFile);
  if (plan.recovered.bytes > 0 && plan.unborn === null) await segment.cut();
  return segment;
}
