import { asFault, Fault } from '../errno.js';
import { type Checkpoint, openCheckpoint } from './checkpoint.js';
import { decodeEntry } from './entry.js';
import { checkConsistency, checkInclusion, hashLeaf } from './merkle.js';
import { decodeBase64, type NoteKey } from './note.js';
import { createVerifier } from './signing.js';

/** That `entry` is the log's entry number `index` in the tree that `checkpoint` signs. */
export interface InclusionProof {
  readonly index: number;
  /** Canonical bytes. */
  readonly entry: Buffer;
  /** Siblings from the leaf up. */
  readonly hashes: readonly Buffer[];
  readonly checkpoint: string;
}

const FIRST_LINE = 'c2sp.org/tlog-proof@v1';

function bad(field: string, expected: string, cause?: unknown): never {
  throw new Fault('bad_proof', `proof: ${field}: expected ${expected}`, { field, cause });
}

/** The text form of C2SP (c2sp.org/tlog-proof), with the entry's bytes as its `extra` data. One file proves one entry. */
export function formatProof(proof: InclusionProof): string {
  const hashes = proof.hashes.map((hash) => `${hash.toString('base64')}\n`).join('');
  return `${FIRST_LINE}\nextra ${proof.entry.toString('base64')}\nindex ${proof.index}\n${hashes}\n${proof.checkpoint}`;
}

/** Reads what `formatProof` writes. Throws Fault `bad_proof` naming the part; proves nothing yet. */
export function parseProof(text: string): InclusionProof {
  const border = text.indexOf('\n\n');
  if (border < 0) bad('checkpoint', 'a checkpoint after an empty line');
  const [first, extra, index, ...hashes] = text.slice(0, border).split('\n');
  if (first !== FIRST_LINE) bad('format', FIRST_LINE);
  const entry = decodeBase64(/^extra (.+)$/.exec(extra ?? '')?.[1] ?? '');
  if (entry === null || entry.length === 0) bad('extra', 'the entry in Base64');
  const digits = /^index (0|[1-9][0-9]{0,14})$/.exec(index ?? '')?.[1];
  if (digits === undefined) bad('index', 'a decimal number');
  const decoded = hashes.map((line) => decodeBase64(line) ?? bad('hashes', 'one Base64 hash per line'));
  return { index: Number(digits), entry, hashes: decoded, checkpoint: text.slice(border + 2) };
}

function openForProof(text: string, key: NoteKey, field: string): Checkpoint {
  try {
    return openCheckpoint(text, key, createVerifier(key.publicKey));
  } catch (thrown) {
    return bad(field, `one signed by the pinned key (${asFault(thrown).message})`, thrown);
  }
}

/**
 * Returns the checkpoint if `entry` (canonical bytes) is in the tree it signs, at `proof.index`. Throws Fault `bad_proof` otherwise.
 * `key` must be the pinned one: a key that came with the proof would prove nothing.
 */
export function verifyInclusion(
  entry: Buffer,
  proof: { readonly index: number; readonly hashes: readonly Buffer[] },
  checkpointText: string,
  key: NoteKey,
): Checkpoint {
  const checkpoint = openForProof(checkpointText, key, 'checkpoint');
  let index: number;
  try {
    index = decodeEntry(entry).index;
  } catch (thrown) {
    return bad('entry', `a canonical entry (${asFault(thrown).message})`, thrown);
  }
  if (index !== proof.index) bad('index', `${index}, which the entry itself says`);
  if (!checkInclusion(hashLeaf(entry), index, checkpoint.size, proof.hashes, checkpoint.root)) {
    bad('hashes', "a path from the entry to the checkpoint's root");
  }
  return checkpoint;
}

/** Returns both checkpoints if the later log begins with the earlier one. Throws Fault `bad_proof` otherwise. */
export function verifyConsistency(
  earlierText: string,
  laterText: string,
  hashes: readonly Buffer[],
  key: NoteKey,
): { earlier: Checkpoint; later: Checkpoint } {
  const earlier = openForProof(earlierText, key, 'earlier checkpoint');
  const later = openForProof(laterText, key, 'later checkpoint');
  if (!checkConsistency(earlier.size, earlier.root, later.size, later.root, hashes)) {
    bad('hashes', `a log of ${later.size} entries that begins with the ${earlier.size} of the earlier checkpoint`);
  }
  return { earlier, later };
}
