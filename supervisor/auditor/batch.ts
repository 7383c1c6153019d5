import { signCheckpoint } from '../../abi/audit/checkpoint.js';
import { GENESIS_HASH, hashEntry, joinEntry } from '../../abi/audit/entry.js';
import { decodeEvent } from '../../abi/audit/event.js';
import { CompactTree, hashLeaf } from '../../abi/audit/merkle.js';
import { encodeRecord, RECORD } from '../../abi/audit/segment.js';
import { encodeSegmentHead, PRINCIPALS_MAX } from '../../abi/audit/segment-head.js';
import { Fault } from '../../abi/errno.js';
import type { LogKey } from './key-file.js';

/** Where the chain stands: everything the next entry depends on. */
export interface ChainState {
  readonly tree: CompactTree;
  /** BLAKE3 of the last entry. */
  readonly previous: Buffer;
  /** BLAKE3 of each principal's last entry. Changed only when a batch is committed. */
  readonly heads: Map<string, Buffer>;
  readonly checkpoint: string;
}

/** A batch that is ready to be written, and the state once it is durable. Nothing has changed yet. */
export interface StagedBatch {
  readonly firstIndex: number;
  /** The entries' records and one checkpoint record. */
  readonly records: Buffer;
  readonly nodes: readonly Buffer[];
  readonly next: Omit<ChainState, 'heads'>;
  readonly heads: ReadonlyMap<string, Buffer>;
}

export function emptyChain(log: LogKey): ChainState {
  const tree = new CompactTree();
  const checkpoint = signCheckpoint(0, tree.root(), log.key, log.signer);
  return { tree, previous: GENESIS_HASH, heads: new Map(), checkpoint };
}

/**
 * Links the events (canonical bytes) to the chain, grows the tree and signs one checkpoint over all. Throws Fault `bad_log`
 * for an event that is not canonical, `quota_exceeded` for a principal too many; then nothing of the batch counts.
 */
export function stageBatch(state: ChainState, events: readonly Buffer[], log: LogKey): StagedBatch {
  const tree = state.tree.clone();
  const heads = new Map<string, Buffer>();
  const records: Buffer[] = [];
  const nodes: Buffer[] = [];
  let previous = state.previous;
  let newPrincipals = 0;
  for (const event of events) {
    const { principal } = decodeEvent(event, 0);
    let head = heads.get(principal) ?? state.heads.get(principal);
    if (head === undefined) {
      head = GENESIS_HASH;
      newPrincipals += 1;
      if (state.heads.size + newPrincipals > PRINCIPALS_MAX) {
        throw new Fault('quota_exceeded', `principal: expected at most ${PRINCIPALS_MAX} in one log`, {
          field: 'principal',
        });
      }
    }
    const entry = joinEntry(tree.size, previous, head, event);
    previous = hashEntry(entry);
    heads.set(principal, previous);
    tree.append(hashLeaf(entry), (node) => nodes.push(node));
    records.push(encodeRecord(RECORD.entry, entry));
  }
  const checkpoint = signCheckpoint(tree.size, tree.root(), log.key, log.signer);
  records.push(encodeRecord(RECORD.checkpoint, Buffer.from(checkpoint)));
  const next = { tree, previous, checkpoint };
  return { firstIndex: state.tree.size, records: Buffer.concat(records), nodes, next, heads };
}

/** The state after the batch. The map of heads is the same one, brought up to date. */
export function commitBatch(state: ChainState, batch: StagedBatch): ChainState {
  for (const [principal, hash] of batch.heads) state.heads.set(principal, hash);
  return { ...batch.next, heads: state.heads };
}

/** The first record of a segment that begins at this state. */
export function headRecord(state: ChainState, log: LogKey): Buffer {
  const head = {
    firstIndex: state.tree.size,
    previous: state.previous,
    origin: log.key.name,
    principals: state.heads,
  };
  return encodeRecord(RECORD.segment, encodeSegmentHead(head));
}
