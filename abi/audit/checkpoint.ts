import { Fault } from '../errno.js';
import { decodeBase64, type Note, type NoteKey, parseNote, signaturesBy, signNote } from './note.js';
import type { Signer, Verifier } from './signing.js';

/**
 * Checkpoints of C2SP (c2sp.org/tlog-checkpoint): a signed note whose text is the log's origin, its tree size in
 * decimal and its RFC 6962 root in Base64, one per line. We write no extension lines, and accept none: they would be signed
 * text that nobody checks.
 */
export interface TreeHead {
  readonly origin: string;
  readonly size: number;
  readonly root: Buffer;
}

export interface Checkpoint extends TreeHead {
  readonly note: Note;
}

const ROOT_BYTES = 32;
const DECIMAL = /^(?:0|[1-9][0-9]{0,15})$/;

function bad(field: string, expected: string): never {
  throw new Fault('bad_log', `checkpoint: ${field}: expected ${expected}`, { field });
}

/** The text that is signed. */
function encodeTreeHead(head: TreeHead): string {
  return `${head.origin}\n${head.size}\n${head.root.toString('base64')}\n`;
}

/** A whole checkpoint: the key's name is the log's origin, as the standard advises. */
export function signCheckpoint(size: number, root: Buffer, key: NoteKey, signer: Signer): string {
  return signNote(encodeTreeHead({ origin: key.name, size, root }), key, signer);
}

/** Throws Fault `bad_log` naming the field. Verifies no signature. */
export function parseCheckpoint(text: string): Checkpoint {
  const note = parseNote(text);
  const lines = note.text.split('\n');
  const [origin, size, encodedRoot, end] = lines;
  if (lines.length !== 4 || end !== '') bad('text', 'three lines: origin, size, root');
  if (origin === undefined || origin === '') bad('origin', 'a name');
  if (size === undefined || !DECIMAL.test(size) || !Number.isSafeInteger(Number(size))) {
    bad('size', 'a decimal number without leading zeros');
  }
  const root = decodeBase64(encodedRoot ?? '');
  if (root === null || root.length !== ROOT_BYTES) bad('root', `Base64 of ${ROOT_BYTES} bytes`);
  return { origin, size: Number(size), root, note };
}

/**
 * Checks that the checkpoint is this log's and that this key signed it. Throws Fault `bad_log`: `origin` for another log's,
 * `key` if no line is by this key, `signature` if one claims to be and is not.
 */
function checkSignature(checkpoint: Checkpoint, key: NoteKey, verify: Verifier): void {
  const claimed = claimedSignatures(checkpoint, key);
  const message = Buffer.from(checkpoint.note.text);
  for (const signature of claimed) {
    if (!verify(message, signature)) bad('signature', 'a valid signature of the pinned key');
  }
}

/** The signatures to verify: at least one. Throws as `checkSignature` does for a foreign origin or key. */
export function claimedSignatures(checkpoint: Checkpoint, key: NoteKey): Buffer[] {
  if (checkpoint.origin !== key.name) bad('origin', key.name);
  const claimed = signaturesBy(checkpoint.note, key);
  if (claimed.length === 0) bad('key', `a signature by the pinned key ${key.name} (id ${key.id.toString('hex')})`);
  return claimed;
}

/** `parseCheckpoint` and `checkSignature`. */
export function openCheckpoint(text: string, key: NoteKey, verify: Verifier): Checkpoint {
  const checkpoint = parseCheckpoint(text);
  checkSignature(checkpoint, key, verify);
  return checkpoint;
}
