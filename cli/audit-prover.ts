import { CompactTree, hashLeaf, positionOfNode, proveInclusion } from '../abi/audit/merkle.js';
import type { NoteKey } from '../abi/audit/note.js';
import { formatProof, verifyInclusion } from '../abi/audit/proof.js';
import { RECORD, SegmentReader, type SegmentRecord } from '../abi/audit/segment.js';
import type { SegmentSource } from '../abi/audit/verify.js';
import { Fault } from '../abi/errno.js';

const HASH_BYTES = 32;

/** Every node of the tree in post-order, in one growing buffer: 64 bytes per entry instead of two objects. */
class NodeStore {
  #bytes = Buffer.alloc(HASH_BYTES * 4096);
  #count = 0;

  readonly add = (node: Buffer): void => {
    const at = this.#count * HASH_BYTES;
    if (at + HASH_BYTES > this.#bytes.length) this.#bytes = Buffer.concat([this.#bytes], this.#bytes.length * 2);
    node.copy(this.#bytes, at);
    this.#count += 1;
  };

  readonly read = (level: number, index: number): Buffer => {
    const at = positionOfNode(level, index) * HASH_BYTES;
    return this.#bytes.subarray(at, at + HASH_BYTES);
  };
}

interface LogReading {
  readonly tree: CompactTree;
  readonly nodes: NodeStore;
  entry: Buffer | null;
  checkpoint: { readonly text: string; readonly size: number } | null;
}

function take(record: SegmentRecord, index: number, reading: LogReading): void {
  if (record.type === RECORD.entry) {
    if (reading.tree.size === index) reading.entry = Buffer.from(record.payload);
    reading.tree.append(hashLeaf(record.payload), reading.nodes.add);
  } else if (record.type === RECORD.checkpoint) {
    reading.checkpoint = { text: record.payload.toString('utf8'), size: reading.tree.size };
  }
}

/**
 * The inclusion proof (C2SP tlog-proof) of entry `index` under the latest checkpoint of the log. It is checked with the
 * pinned key before it is returned, so that a proof of a damaged log is an error here and not at its reader's.
 * Faults: `not_found` (no such entry, or not signed yet), `bad_log`, `bad_proof`.
 */
export async function proveEntry(segments: readonly SegmentSource[], index: number, key: NoteKey): Promise<string> {
  const reading: LogReading = { tree: new CompactTree(), nodes: new NodeStore(), entry: null, checkpoint: null };
  for (const segment of segments) {
    const reader = new SegmentReader();
    for await (const chunk of segment.chunks) {
      for (const record of reader.push(chunk)) take(record, index, reading);
      if (reader.fault !== null)
        throw new Fault('bad_log', `${segment.name}, byte ${reader.offset}: ${reader.fault.message}`);
    }
  }
  const { entry, checkpoint } = reading;
  if (entry === null || checkpoint === null || checkpoint.size <= index) {
    throw new Fault('not_found', `no signed entry ${index}; the log has ${checkpoint?.size ?? 0}`, { field: 'index' });
  }
  const hashes = proveInclusion(reading.nodes.read, index, checkpoint.size);
  verifyInclusion(entry, { index, hashes }, checkpoint.text, key);
  return formatProof({ index, entry, hashes, checkpoint: checkpoint.text });
}
