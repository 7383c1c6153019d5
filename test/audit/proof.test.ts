import { test } from 'tap';
import { signCheckpoint } from '../../abi/audit/checkpoint.js';
import { encodeEntry, GENESIS_HASH } from '../../abi/audit/entry.js';
import { CompactTree, hashLeaf, positionOfNode, proveConsistency, proveInclusion } from '../../abi/audit/merkle.js';
import { makeNoteKey } from '../../abi/audit/note.js';
import {
  formatProof,
  type InclusionProof,
  parseProof,
  verifyConsistency,
  verifyInclusion,
} from '../../abi/audit/proof.js';
import { createSigner, generateKeyPair } from '../../abi/audit/signing.js';
import { makeEvent, ORIGIN } from './log-fixture.js';

const SIZE = 11;
const pair = await generateKeyPair();
const key = makeNoteKey(ORIGIN, pair.public);
const signer = createSigner(pair.secret);
const tree = new CompactTree();
const nodes: Buffer[] = [];
const checkpoints = [signCheckpoint(0, tree.root(), key, signer)];
const entries = Array.from({ length: SIZE }, (_, index) =>
  encodeEntry({ index, previous: GENESIS_HASH, previousOfPrincipal: GENESIS_HASH, event: makeEvent(index) }),
);
for (const entry of entries) {
  tree.append(hashLeaf(entry), (node) => nodes.push(node));
  checkpoints.push(signCheckpoint(tree.size, tree.root(), key, signer));
}
const source = (level: number, index: number) => nodes[positionOfNode(level, index)] as Buffer;
const latest = checkpoints[SIZE] as string;

function proofOf(index: number): InclusionProof {
  return { index, entry: entries[index] as Buffer, hashes: proveInclusion(source, index, SIZE), checkpoint: latest };
}

test('a proof, written and read, is the same and verifies with the pinned key alone', (t) => {
  for (let index = 0; index < SIZE; index += 1) {
    const read = parseProof(formatProof(proofOf(index)));
    t.strictSame(read, proofOf(index));
    t.equal(verifyInclusion(read.entry, read, read.checkpoint, key).size, SIZE);
  }
  t.end();
});

test('a proof for another entry, index, path, checkpoint or key does not verify', async (t) => {
  const proof = proofOf(4);
  const bad = (entry: Buffer, change: Partial<InclusionProof>, checkpoint = latest, by = key) =>
    t.throws(() => verifyInclusion(entry, { ...proof, ...change }, checkpoint, by), { code: 'bad_proof' });
  bad(entries[5] as Buffer, {});
  bad(entries[5] as Buffer, { index: 5 });
  bad(proof.entry, { index: 5 });
  bad(proof.entry, { hashes: proof.hashes.slice(1) });
  bad(proof.entry, { hashes: [...proof.hashes].reverse() });
  bad(Buffer.from('no entry'), {});
  bad(proof.entry, {}, checkpoints[7] as string);
  const other = await generateKeyPair();
  bad(proof.entry, {}, latest, makeNoteKey(ORIGIN, other.public));
});

test('consistency holds between any two checkpoints of a log, and not in the other direction', (t) => {
  for (let first = 0; first <= SIZE; first += 1) {
    const hashes = proveConsistency(source, first, SIZE);
    const { earlier, later } = verifyConsistency(checkpoints[first] as string, latest, hashes, key);
    t.equal(later.size - earlier.size, SIZE - first);
    if (first > 0 && first < SIZE) {
      t.throws(() => verifyConsistency(latest, checkpoints[first] as string, hashes, key), { code: 'bad_proof' });
    }
  }
  t.end();
});

const whole = formatProof(proofOf(4));
const REFUSED: readonly [string, string, string][] = [
  ['another first line', whole.replace('@v1', '@v2'), 'format'],
  ['no entry', whole.replace(/extra .+\n/, ''), 'extra'],
  ['an index with a leading zero', whole.replace('index 4', 'index 04'), 'index'],
  ['a hash that is not Base64', whole.replace('index 4\n', 'index 4\n!!\n'), 'hashes'],
  ['no checkpoint', whole.slice(0, whole.indexOf('\n\n') + 1), 'checkpoint'],
];

for (const [what, text, field] of REFUSED) {
  test(`a proof with ${what} is refused, naming ${field}`, (t) => {
    t.throws(() => parseProof(text), { code: 'bad_proof', field });
    t.end();
  });
}
