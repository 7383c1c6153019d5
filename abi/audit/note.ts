import { hash } from 'node:crypto';
import { Fault } from '../errno.js';
import { KEY_BYTES, type Signer } from './signing.js';

/**
 * Signed notes of C2SP (c2sp.org/signed-note), Ed25519 only (signature type 0x01):
 *
 *   text, ending in a newline
 *   (empty line)
 *   — <key name> <base64 of 4 bytes key id and the signature>
 */
const SIGNATURE_TYPE_ED25519 = 1;
const KEY_ID_BYTES = 4;
const NOTE_CHARS_MAX = 64 * 1024;
/** The standard asks for at least 16: witnesses add their own lines. */
const SIGNATURES_MAX = 64;
const SIGNATURE_START = '— ';

const KEY_NAME = /^[^\s+\p{C}\p{Z}]{1,256}$/u;
const CONTROL_BUT_NEWLINE = /[\x00-\x09\x0b-\x1f\x7f]/;
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/** A public key with the name it signs under. Name and id together say which signature line is its own. */
export interface NoteKey {
  readonly name: string;
  readonly id: Buffer;
  readonly publicKey: Buffer;
}

export interface NoteSignature {
  readonly name: string;
  readonly keyId: Buffer;
  readonly signature: Buffer;
}

export interface Note {
  /** What is signed, with its last newline. */
  readonly text: string;
  readonly signatures: readonly NoteSignature[];
}

function bad(field: string, expected: string): never {
  throw new Fault('bad_log', `signed note: ${field}: expected ${expected}`, { field });
}

/** Canonical standard Base64, or null: one byte string has one spelling, so a note cannot be varied and stay valid. */
export function decodeBase64(text: string): Buffer | null {
  if (!BASE64.test(text)) return null;
  const bytes = Buffer.from(text, 'base64');
  return bytes.toString('base64') === text ? bytes : null;
}

/** Throws Fault `bad_log` (field `name` or `publicKey`). */
export function makeNoteKey(name: string, publicKey: Buffer): NoteKey {
  if (!KEY_NAME.test(name)) bad('name', '1 to 256 characters without spaces, controls or "+"');
  if (publicKey.length !== KEY_BYTES) bad('publicKey', `${KEY_BYTES} bytes`);
  const named = Buffer.concat([Buffer.from(`${name}\n`), Buffer.of(SIGNATURE_TYPE_ED25519), publicKey]);
  return { name, id: hash('sha256', named, 'buffer').subarray(0, KEY_ID_BYTES), publicKey };
}

/** `name+hex id+base64(0x01 || key)`: how the tools of this field write a verifier key on one line. */
export function formatNoteKey(key: NoteKey): string {
  const typed = Buffer.concat([Buffer.of(SIGNATURE_TYPE_ED25519), key.publicKey]);
  return `${key.name}+${key.id.toString('hex')}+${typed.toString('base64')}`;
}

/** Reads what `formatNoteKey` writes, with or without a newline at the end. Throws Fault `bad_log` naming the part. */
export function parseNoteKey(text: string): NoteKey {
  // The Base64 part may hold "+" itself, so only the first two separate.
  const match = /^([^+]+)\+([0-9a-f]{8})\+(.+?)\n?$/.exec(text);
  if (match === null) bad('key', 'name+id+key on one line');
  const typed = decodeBase64(match[3] as string);
  if (typed === null || typed.length !== 1 + KEY_BYTES || typed[0] !== SIGNATURE_TYPE_ED25519) {
    bad('publicKey', 'an Ed25519 key in Base64');
  }
  const key = makeNoteKey(match[1] as string, typed.subarray(1));
  if (key.id.toString('hex') !== match[2]) bad('id', key.id.toString('hex'));
  return key;
}

/** The text with one signature line. `text` must end in a newline. */
export function signNote(text: string, key: NoteKey, signer: Signer): string {
  if (!text.endsWith('\n')) bad('text', 'a newline at the end');
  const blob = Buffer.concat([key.id, signer.sign(Buffer.from(text))]);
  return `${text}\n${SIGNATURE_START}${key.name} ${blob.toString('base64')}\n`;
}

/** Splits at the last empty line. Throws Fault `bad_log`; verifies nothing. */
export function parseNote(note: string): Note {
  if (note.length > NOTE_CHARS_MAX) bad('length', `at most ${NOTE_CHARS_MAX} characters`);
  if (CONTROL_BUT_NEWLINE.test(note)) bad('text', 'no control characters');
  const border = note.lastIndexOf('\n\n');
  if (border < 0 || !note.endsWith('\n')) bad('text', 'an empty line before the signatures and a newline at the end');
  const lines = note.slice(border + 2, -1).split('\n');
  if (lines.length > SIGNATURES_MAX) bad('signatures', `at most ${SIGNATURES_MAX}`);
  return { text: note.slice(0, border + 1), signatures: lines.map(parseSignatureLine) };
}

function parseSignatureLine(line: string): NoteSignature {
  if (!line.startsWith(SIGNATURE_START)) bad('signature', `a line that starts with "${SIGNATURE_START}"`);
  const [name, encoded, ...rest] = line.slice(SIGNATURE_START.length).split(' ');
  if (name === undefined || encoded === undefined || rest.length > 0 || !KEY_NAME.test(name)) {
    bad('signature', 'a key name and a Base64 blob');
  }
  const blob = decodeBase64(encoded);
  if (blob === null || blob.length <= KEY_ID_BYTES) bad('signature', 'Base64 of a key id and a signature');
  return { name, keyId: blob.subarray(0, KEY_ID_BYTES), signature: blob.subarray(KEY_ID_BYTES) };
}

/** The signature lines that claim to be this key's. Lines of unknown keys are not our business (the standard says so). */
export function signaturesBy(note: Note, key: NoteKey): Buffer[] {
  const own = note.signatures.filter((line) => line.name === key.name && line.keyId.equals(key.id));
  return own.map((line) => line.signature);
}
