import { createHash } from 'node:crypto';
import { test } from 'tap';
import {
  CompactTree,
  checkConsistency,
  checkInclusion,
  countNodes,
  EMPTY_ROOT,
  hashLeaf,
  hashNode,
  type NodeSource,
  positionOfNode,
  proveConsistency,
  proveInclusion,
  readPeaks,
} from '../../abi/audit/merkle.js';
import { fc } from '../kit/property.js';

const SIZE_MAX = 70;

function sha256(...parts: Buffer[]): Buffer {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest();
}

/** RFC 6962 section 2.1 to the letter, over the leaves' bytes. */
function naiveRoot(leaves: readonly Buffer[]): Buffer {
  if (leaves.length === 0) return sha256();
  if (leaves.length === 1) return sha256(Buffer.of(0), leaves[0] as Buffer);
  const split = naiveSplit(leaves.length);
  return sha256(Buffer.of(1), naiveRoot(leaves.slice(0, split)), naiveRoot(leaves.slice(split)));
}

function naiveSplit(length: number): number {
  let split = 1;
  while (split * 2 < length) split *= 2;
  return split;
}

function naivePath(index: number, leaves: readonly Buffer[]): Buffer[] {
  if (leaves.length <= 1) return [];
  const split = naiveSplit(leaves.length);
  return index < split
    ? [...naivePath(index, leaves.slice(0, split)), naiveRoot(leaves.slice(split))]
    : [...naivePath(index - split, leaves.slice(split)), naiveRoot(leaves.slice(0, split))];
}

function naiveSubproof(size: number, leaves: readonly Buffer[], whole: boolean): Buffer[] {
  if (size === leaves.length) return whole ? [] : [naiveRoot(leaves)];
  const split = naiveSplit(leaves.length);
  return size <= split
    ? [...naiveSubproof(size, leaves.slice(0, split), whole), naiveRoot(leaves.slice(split))]
    : [...naiveSubproof(size - split, leaves.slice(split), false), naiveRoot(leaves.slice(0, split))];
}

const leaves = Array.from({ length: SIZE_MAX }, (_, index) => Buffer.from(`leaf ${index}`));

function grow(size: number): { tree: CompactTree; source: NodeSource; nodes: Buffer[] } {
  const tree = new CompactTree();
  const nodes: Buffer[] = [];
  for (const leaf of leaves.slice(0, size)) tree.append(hashLeaf(leaf), (node) => nodes.push(node));
  return { tree, nodes, source: (level, index) => nodes[positionOfNode(level, index)] as Buffer };
}

test('the empty tree has the SHA-256 of nothing as its root', (t) => {
  t.equal(EMPTY_ROOT.toString('hex'), 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855');
  t.ok(new CompactTree().root().equals(EMPTY_ROOT));
  t.end();
});

test('the tree of one empty leaf has the known root', (t) => {
  const tree = new CompactTree();
  tree.append(hashLeaf(Buffer.alloc(0)));
  t.equal(tree.root().toString('hex'), '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d');
  t.end();
});

test('a tree of each size up to 70 has the root, nodes and peaks of the naive one', (t) => {
  for (let size = 0; size <= SIZE_MAX; size += 1) {
    const { tree, nodes, source } = grow(size);
    t.ok(tree.root().equals(naiveRoot(leaves.slice(0, size))), `root of ${size}`);
    t.equal(nodes.length, countNodes(size));
    t.ok(new CompactTree(size, readPeaks(source, size)).root().equals(tree.root()), `peaks of ${size}`);
  }
  t.end();
});

test('inclusion proofs of every leaf in every tree up to 40 are the naive ones and check', (t) => {
  for (let size = 1; size <= 40; size += 1) {
    const { tree, source } = grow(size);
    for (let index = 0; index < size; index += 1) {
      const proof = proveInclusion(source, index, size);
      const same = Buffer.concat(proof).equals(Buffer.concat(naivePath(index, leaves.slice(0, size))));
      const checks = checkInclusion(hashLeaf(leaves[index] as Buffer), index, size, proof, tree.root());
      if (!same || !checks) t.fail(`leaf ${index} of ${size}`);
    }
  }
  t.pass('all');
  t.end();
});

test('consistency proofs between all sizes up to 40 are the naive ones and check', (t) => {
  for (let second = 1; second <= 40; second += 1) {
    const { tree, source } = grow(second);
    for (let first = 1; first <= second; first += 1) {
      const proof = proveConsistency(source, first, second);
      const naive = first === second ? [] : naiveSubproof(first, leaves.slice(0, second), true);
      const same = Buffer.concat(proof).equals(Buffer.concat(naive));
      const checks = checkConsistency(first, naiveRoot(leaves.slice(0, first)), second, tree.root(), proof);
      if (!same || !checks) t.fail(`${first} to ${second}`);
    }
  }
  t.pass('all');
  t.end();
});

test('an inclusion proof that is changed in any way does not check', (t) => {
  const shape = fc
    .integer({ min: 1, max: SIZE_MAX })
    .chain((size) => fc.tuple(fc.constant(size), fc.nat(size - 1), fc.nat(), fc.nat(5)));
  fc.assert(
    fc.property(shape, ([size, index, pick, how]) => {
      const { tree, source } = grow(size);
      const proof = proveInclusion(source, index, size);
      const leaf = hashLeaf(leaves[index] as Buffer);
      const root = tree.root();
      const at = pick % Math.max(1, proof.length);
      const flipped = proof.map((step, position) => (position === at ? hashLeaf(step) : step));
      const changed = [
        () => proof.length > 0 && checkInclusion(leaf, index, size, flipped, root),
        () => proof.length > 0 && checkInclusion(leaf, index, size, proof.slice(0, -1), root),
        () => checkInclusion(leaf, index, size, [...proof, root], root),
        () => checkInclusion(hashLeaf(Buffer.from('other')), index, size, proof, root),
        () => size > 1 && checkInclusion(leaf, (index + 1) % size, size, proof, root),
        () => checkInclusion(leaf, size, size, proof, root) || checkInclusion(leaf, -1, size, proof, root),
      ];
      return (changed[how] as () => boolean)() === false;
    }),
    { numRuns: 500 },
  );
  t.end();
});

test('a consistency proof for another old root, size or path does not check', (t) => {
  const shape = fc.tuple(fc.integer({ min: 1, max: SIZE_MAX - 1 }), fc.nat(), fc.nat()).map(([first, more, pick]) => ({
    first,
    second: first + 1 + (more % (SIZE_MAX - first)),
    pick,
  }));
  fc.assert(
    fc.property(shape, ({ first, second, pick }) => {
      const { tree, source } = grow(second);
      const proof = proveConsistency(source, first, second);
      const [old, now] = [grow(first).tree.root(), tree.root()];
      const flipped = proof.map((step, at) => (at === pick % proof.length ? hashLeaf(step) : step));
      return (
        checkConsistency(first, old, second, now, proof) &&
        !checkConsistency(first, hashLeaf(old), second, now, proof) &&
        !checkConsistency(first, old, second, hashLeaf(now), proof) &&
        !checkConsistency(first, old, second, now, flipped) &&
        !checkConsistency(first, old, second, now, [...proof, now]) &&
        !checkConsistency(first, old, second, now, proof.slice(0, -1)) &&
        !checkConsistency(second, now, first, old, proof)
      );
    }),
    { numRuns: 300 },
  );
  t.end();
});

test('consistency with the empty tree, and of a tree with itself, needs no hashes and takes none', (t) => {
  const { tree } = grow(5);
  t.ok(checkConsistency(0, EMPTY_ROOT, 5, tree.root(), []));
  t.notOk(checkConsistency(0, hashLeaf(EMPTY_ROOT), 5, tree.root(), []));
  t.notOk(checkConsistency(0, EMPTY_ROOT, 5, tree.root(), [tree.root()]));
  t.ok(checkConsistency(5, tree.root(), 5, tree.root(), []));
  t.notOk(checkConsistency(5, tree.root(), 5, EMPTY_ROOT, []));
  t.end();
});

test('a node, offered as a leaf, has another hash', (t) => {
  const [left, right] = [hashLeaf(Buffer.from('a')), hashLeaf(Buffer.from('b'))];
  t.notOk(hashLeaf(Buffer.concat([left, right])).equals(hashNode(left, right)));
  t.end();
});

test('positions and counts stay exact for trees far beyond 2^32 leaves', (t) => {
  const size = 2 ** 40 + 5;
  t.equal(countNodes(size), 2 * size - 3);
  t.equal(positionOfNode(40, 0), countNodes(2 ** 40) - 1);
  t.equal(positionOfNode(0, 2 ** 40), countNodes(2 ** 40));
  t.throws(() => proveInclusion(() => EMPTY_ROOT, size, size), { code: 'invalid_argument', field: 'index' });
  t.throws(() => proveConsistency(() => EMPTY_ROOT, size + 1, size), { code: 'invalid_argument', field: 'from' });
  t.throws(() => new CompactTree(3, []), { code: 'bad_proof' });
  t.end();
});
