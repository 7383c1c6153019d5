import { countNodes, type NodeSource, positionOfNode } from '../../abi/audit/merkle.js';
import { Fault } from '../../abi/errno.js';
import type { DiskFile } from './disk-file.js';

const HASH_BYTES = 32;

/**
 * The Merkle tree's hashes in post-order, 32 bytes each, about 64 bytes per entry, so that a proof is a few reads and not a pass over
 * the log. Derived: it is never synced, nothing is believed because it stands here, and it can be made again from
 * the segments. Its hashes are checked against a signed root before they are used (recovery.ts, log.ts).
 */
export class TreeFile {
  readonly #file: DiskFile;

  constructor(file: DiskFile) {
    this.#file = file;
  }

  /** Throws Fault `bad_log` for a hash that is not there. */
  readonly source: NodeSource = (level, index) => {
    const node = this.#file.read(positionOfNode(level, index) * HASH_BYTES, HASH_BYTES);
    if (node.length === HASH_BYTES) return node;
    throw new Fault('bad_log', 'the file of tree hashes is too short', { field: 'tree' });
  };

  /** Writes the hashes that a tree of `size` leaves gained next. Throws what the file throws. */
  append(size: number, nodes: readonly Buffer[]): void {
    this.#file.write(Buffer.concat(nodes), countNodes(size) * HASH_BYTES);
  }

  /** As `append`, and forgets everything behind. Writes nothing if that is what is there: the disk may be full. */
  settle(size: number, nodes: readonly Buffer[]): void {
    const bytes = Buffer.concat(nodes);
    const at = countNodes(size) * HASH_BYTES;
    if (!this.#file.read(at, bytes.length).equals(bytes)) this.#file.write(bytes, at);
    if (this.#file.size !== at + bytes.length) this.#file.truncate(at + bytes.length);
  }

  close(): void {
    this.#file.close();
  }
}
