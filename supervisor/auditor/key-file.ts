import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { link, mkdir, open, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';
import { formatNoteKey, makeNoteKey, type NoteKey, parseNoteKey } from '../../abi/audit/note.js';
import { createSigner, generateKeyPair, KEY_BYTES, type Signer } from '../../abi/audit/signing.js';
import { Fault } from '../../abi/errno.js';
import { syncDirectory } from './directory.js';
import { errnoOf } from './disk-file.js';

export interface LogKey {
  readonly signer: Signer;
  readonly key: NoteKey;
}

interface KeyPaths {
  /** 32 raw bytes, the RFC 8032 seed, 0600. */
  readonly keyPath: string;
  /** One line, see `formatNoteKey`. */
  readonly pubPath: string;
  readonly origin: string;
}

const PUB_BYTES_MAX = 4096;

function refuse(field: string, expected: string, cause?: unknown): never {
  throw new Fault('bad_home', `${field}: expected ${expected}`, { field, cause });
}

/**
 * The log's key. Made only for a log that is still empty: a new key, or a new pin, for entries that are already there
 * would let whoever removed the old one sign the log again. Throws Fault `bad_home` for a key that others can read, that is not
 * 32 bytes, or that is not the pinned one.
 */
export async function openLogKey(paths: KeyPaths, logIsEmpty: boolean): Promise<LogKey> {
  await mkdir(dirname(paths.keyPath), { recursive: true, mode: 0o700 });
  let secret = await readPrivate(paths.keyPath, 'key');
  if (secret === null) {
    if (!logIsEmpty) refuse('key', 'the key that signed this log');
    secret = (await generateKeyPair()).secret;
    await writeOnce(paths.keyPath, secret);
  }
  if (secret.length !== KEY_BYTES) refuse('key', `${KEY_BYTES} bytes`);
  const signer = createSigner(secret);
  secret.fill(0);
  const key = makeNoteKey(paths.origin, signer.publicKey);
  const pinned = await readPublic(paths.pubPath);
  if (pinned === null) {
    if (!logIsEmpty) refuse('pub', 'the public key that was pinned for this log');
    await writeOnce(paths.pubPath, Buffer.from(`${formatNoteKey(key)}\n`));
  } else if (formatNoteKey(parsePinned(pinned)) !== formatNoteKey(key)) {
    refuse('pub', "the public half of this key, under this log's origin");
  }
  return { signer, key };
}

function parsePinned(bytes: Buffer): NoteKey {
  try {
    return parseNoteKey(bytes.toString('utf8'));
  } catch (thrown) {
    return refuse('pub', 'a verifier key on one line', thrown);
  }
}

/** Checks the open file, not its name: what was checked is what is read. */
async function readPrivate(path: string, field: string): Promise<Buffer | null> {
  const handle = await openIfThere(path, field);
  if (handle === null) return null;
  try {
    const stat = await handle.stat();
    if (!stat.isFile()) refuse(field, 'a regular file');
    if ((stat.mode & 0o077) !== 0) refuse(field, 'no access for anybody else (chmod 600)');
    if (stat.uid !== process.getuid?.()) refuse(field, 'to be owned by the user who runs this');
    if (stat.size !== KEY_BYTES) refuse(field, `${KEY_BYTES} bytes`);
    return await handle.readFile();
  } finally {
    await handle.close();
  }
}

async function readPublic(path: string): Promise<Buffer | null> {
  const handle = await openIfThere(path, 'pub');
  if (handle === null) return null;
  try {
    const stat = await handle.stat();
    if (!stat.isFile() || stat.size > PUB_BYTES_MAX) refuse('pub', 'a verifier key on one line');
    return await handle.readFile();
  } finally {
    await handle.close();
  }
}

async function openIfThere(path: string, field: string) {
  try {
    // Without O_NONBLOCK a fifo in the file's place would hang the start.
    return await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (thrown) {
    if (errnoOf(thrown) === 'ENOENT') return null;
    return refuse(field, `a file that can be opened (${errnoOf(thrown)})`, thrown);
  }
}

/**
 * Complete or not at all, and never over another file: written under a private name, then linked. A crash in between leaves
 * no half key behind that would be refused for ever.
 */
async function writeOnce(path: string, bytes: Buffer): Promise<void> {
  const draft = `${path}.${randomBytes(8).toString('hex')}`;
  const handle = await open(draft, 'wx', 0o600);
  try {
    try {
      await handle.writeFile(bytes);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await link(draft, path);
  } finally {
    await unlink(draft);
  }
  await syncDirectory(dirname(path));
}
