import { hash } from 'node:crypto';
import { Fault } from '../errno.js';

/**
 * The Merkle tree of RFC 6962 (section 2.1) and RFC 9162, with SHA-256. A leaf is hashed with a 0x00 byte in front and a node with
 * 0x01, so that no node can be passed off as a leaf. Sizes and positions stay below 2^48, so arithmetic is by division
 * and never by 32-bit shifts.
 */
const HASH_BYTES = 32;

/** By way of a one-byte-per-character string: asking `hash` for a Buffer takes twice as long. */
function sha256(bytes: Buffer): Buffer {
  return Buffer.from(hash('sha256', bytes, 'binary'), 'latin1');
}

/** The root of the tree without leaves: SHA-256 of nothing. */
export const EMPTY_ROOT: Buffer = sha256(Buffer.alloc(0));

const nodeScratch = Buffer.alloc(1 + 2 * HASH_BYTES, 1);
let leafScratch = Buffer.alloc(1024);

export function hashLeaf(bytes: Buffer): Buffer {
  if (leafScratch.length < bytes.length + 1) leafScratch = Buffer.alloc(2 * bytes.length + 1);
  bytes.copy(leafScratch, 1);
  return sha256(leafScratch.subarray(0, bytes.length + 1));
}

export function hashNode(left: Buffer, right: Buffer): Buffer {
  left.copy(nodeScratch, 1);
  right.copy(nodeScratch, 1 + HASH_BYTES);
  return sha256(nodeScratch);
}

/**
 * An append-only tree that keeps only the roots of its complete subtrees, the "compact range": at most 48 hashes,
 * largest subtree first. One append costs two hashes on average; the root costs one per subtree.
 */
export class CompactTree {
  #size: number;
  readonly #peaks: Buffer[];

  constructor(size = 0, peaks: readonly Buffer[] = []) {
    if (peaks.length !== countOnes(size)) {
      throw new Fault('bad_proof', `tree of ${size} leaves: expected ${countOnes(size)} peaks`, { field: 'peaks' });
    }
    this.#size = size;
    this.#peaks = [...peaks];
  }

  get size(): number {
    return this.#size;
  }

  clone(): CompactTree {
    return new CompactTree(this.#size, this.#peaks);
  }

  /** Adds a leaf hash. `onNode` hears every hash this completes: the leaf, then its parents upwards, in post-order. */
  append(leaf: Buffer, onNode?: (node: Buffer) => void): void {
    let node = leaf;
    onNode?.(node);
    for (let rest = this.#size; rest % 2 === 1; rest = (rest - 1) / 2) {
      node = hashNode(this.#peaks.pop() as Buffer, node);
      onNode?.(node);
    }
    this.#peaks.push(node);
    this.#size += 1;
  }

  root(): Buffer {
    let root: Buffer | null = null;
    for (let at = this.#peaks.length - 1; at >= 0; at -= 1) {
      const peak = this.#peaks[at] as Buffer;
      root = root === null ? peak : hashNode(peak, root);
    }
    return root ?? EMPTY_ROOT;
  }
}

/** The root of the complete subtree over leaves `index * 2^level` up to, not including, `(index + 1) * 2^level`. */
export type NodeSource = (level: number, index: number) => Buffer;

function countOnes(size: number): number {
  let ones = 0;
  for (let rest = size; rest > 0; rest = Math.floor(rest / 2)) ones += rest % 2;
  return ones;
}

function isPowerOfTwo(size: number): boolean {
  return countOnes(size) === 1;
}

/** How many hashes `CompactTree.append` told in all, for a tree of `size` leaves. */
export function countNodes(size: number): number {
  return 2 * size - countOnes(size);
}

/** Where in the post-order of all those hashes the root of a complete subtree stands. */
export function positionOfNode(level: number, index: number): number {
  const lastLeaf = (index + 1) * 2 ** level - 1;
  return countNodes(lastLeaf) + level;
}

/** The compact range of the first `size` leaves. */
export function readPeaks(source: NodeSource, size: number): Buffer[] {
  const peaks: Buffer[] = [];
  let start = 0;
  for (let level = 48; level >= 0; level -= 1) {
    const width = 2 ** level;
    if (size - start < width) continue;
    peaks.push(source(level, start / width));
    start += width;
  }
  return peaks;
}

/** The largest power of two below `width`, for a width of at least 2. */
function splitOf(width: number): number {
  let split = 1;
  while (split * 2 < width) split *= 2;
  return split;
}

function rootOfRange(source: NodeSource, start: number, width: number): Buffer {
  if (isPowerOfTwo(width)) return source(Math.round(Math.log2(width)), start / width);
  const split = splitOf(width);
  return hashNode(rootOfRange(source, start, split), rootOfRange(source, start + split, width - split));
}

/** PATH(index, D[size]): the siblings from the leaf up. Throws Fault `invalid_argument` if there is no such leaf. */
export function proveInclusion(source: NodeSource, index: number, size: number): Buffer[] {
  if (!Number.isInteger(index) || index < 0 || index >= size) {
    throw new Fault('invalid_argument', `index: expected 0 to ${size - 1}`, { field: 'index' });
  }
  const path: Buffer[] = [];
  let start = 0;
  let width = size;
  while (width > 1) {
    const split = splitOf(width);
    const goLeft = index - start < split;
    path.push(goLeft ? rootOfRange(source, start + split, width - split) : rootOfRange(source, start, split));
    if (!goLeft) start += split;
    width = goLeft ? split : width - split;
  }
  return path.reverse();
}

/** PROOF(first, D[second]). Empty for `first` 0 or equal to `second`. Throws Fault `invalid_argument` for `first > second`. */
export function proveConsistency(source: NodeSource, first: number, second: number): Buffer[] {
  if (!Number.isInteger(first) || first < 0 || first > second) {
    throw new Fault('invalid_argument', `from: expected 0 to ${second}`, { field: 'from' });
  }
  if (first === 0 || first === second) return [];
  const proof: Buffer[] = [];
  let start = 0;
  let width = second;
  // SUBPROOF(m, D[n], b): walk down to the subtree whose right border is the old tree's.
  while (first - start !== width) {
    const split = splitOf(width);
    const goLeft = first - start <= split;
    proof.push(goLeft ? rootOfRange(source, start + split, width - split) : rootOfRange(source, start, split));
    if (!goLeft) start += split;
    width = goLeft ? split : width - split;
  }
  // The old tree's own root is known to the checker, so it is left out (b is true).
  if (start > 0) proof.push(rootOfRange(source, start, width));
  return proof.reverse();
}

/** RFC 9162 section 2.1.3.2. False for every proof that is not exactly right, also for one that is too long. */
export function checkInclusion(
  leaf: Buffer,
  index: number,
  size: number,
  proof: readonly Buffer[],
  root: Buffer,
): boolean {
  if (!areSizes(index, size) || index >= size || !areHashes(proof)) return false;
  let node = index;
  let last = size - 1;
  let result = leaf;
  for (const sibling of proof) {
    if (last === 0) return false;
    if (node % 2 === 1 || node === last) {
      result = hashNode(sibling, result);
      while (node % 2 === 0 && node !== 0) [node, last] = [node / 2, Math.floor(last / 2)];
    } else {
      result = hashNode(result, sibling);
    }
    [node, last] = [Math.floor(node / 2), Math.floor(last / 2)];
  }
  return last === 0 && result.equals(root);
}

/** RFC 9162 section 2.1.4.2: does the tree with root `secondRoot` begin with the tree of `firstRoot`? */
export function checkConsistency(
  first: number,
  firstRoot: Buffer,
  second: number,
  secondRoot: Buffer,
  proof: readonly Buffer[],
): boolean {
  if (!areSizes(first, second) || first > second || !areHashes(proof)) return false;
  if (first === second) return proof.length === 0 && firstRoot.equals(secondRoot);
  if (first === 0) return proof.length === 0 && firstRoot.equals(EMPTY_ROOT);
  const steps = isPowerOfTwo(first) ? [firstRoot, ...proof] : proof;
  const seed = steps[0];
  if (seed === undefined) return false;
  let node = first - 1;
  let last = second - 1;
  while (node % 2 === 1) [node, last] = [(node - 1) / 2, Math.floor(last / 2)];
  let fromFirst = seed;
  let fromSecond = seed;
  for (const step of steps.slice(1)) {
    if (last === 0) return false;
    if (node % 2 === 1 || node === last) {
      fromFirst = hashNode(step, fromFirst);
      fromSecond = hashNode(step, fromSecond);
      while (node % 2 === 0 && node !== 0) [node, last] = [node / 2, Math.floor(last / 2)];
    } else {
      fromSecond = hashNode(fromSecond, step);
    }
    [node, last] = [Math.floor(node / 2), Math.floor(last / 2)];
  }
  return last === 0 && fromFirst.equals(firstRoot) && fromSecond.equals(secondRoot);
}

function areSizes(...sizes: number[]): boolean {
  return sizes.every((size) => Number.isSafeInteger(size) && size >= 0);
}

function areHashes(proof: readonly Buffer[]): boolean {
  return proof.length <= 64 * 2 && proof.every((step) => step.length === HASH_BYTES);
}
