import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { formatNoteKey, makeNoteKey, type NoteKey, parseNoteKey } from '../../abi/audit/note.js';
import { createSigner, generateKeyPair, KEY_BYTES, type Signer } from '../../abi/audit/signing.js';
import { openIfThere, readKeyFile, refuseFile, writeOnce } from '../private-files/key-file.js';

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

/**
 * The log's key. Made only for a log that is still empty: a new key, or a new pin, for entries that are already there
 * would let whoever removed the old one sign the log again. Throws Fault `bad_home` for a key that others can read, that is not
 * 32 bytes, or that is not the pinned one.
 */
export async function openLogKey(paths: KeyPaths, logIsEmpty: boolean): Promise<LogKey> {
  await mkdir(dirname(paths.keyPath), { recursive: true, mode: 0o700 });
  let secret = await readKeyFile(paths.keyPath, 'key', KEY_BYTES);
  if (secret === null) {
    if (!logIsEmpty) refuseFile('key', 'the key that signed this log');
    secret = (await generateKeyPair()).secret;
    await writeFirst(paths.keyPath, 'key', secret);
  }
  const signer = createSigner(secret);
  secret.fill(0);
  const key = makeNoteKey(paths.origin, signer.publicKey);
  const pinned = await readPublic(paths.pubPath);
  if (pinned === null) {
    if (!logIsEmpty) refuseFile('pub', 'the public key that was pinned for this log');
    await writeFirst(paths.pubPath, 'pub', Buffer.from(`${formatNoteKey(key)}\n`));
  } else if (formatNoteKey(parsePinned(pinned)) !== formatNoteKey(key)) {
    refuseFile('pub', "the public half of this key, under this log's origin");
  }
  return { signer, key };
}

/** The log's lock is held: a file that appears meanwhile is somebody else's. */
async function writeFirst(path: string, field: string, bytes: Uint8Array): Promise<void> {
  if (!(await writeOnce(path, bytes))) refuseFile(field, 'to be still missing when it is written');
}

function parsePinned(bytes: Buffer): NoteKey {
  try {
    return parseNoteKey(bytes.toString('utf8'));
  } catch (thrown) {
    return refuseFile('pub', 'a verifier key on one line', thrown);
  }
}

async function readPublic(path: string): Promise<Buffer | null> {
  const handle = await openIfThere(path, 'pub');
  if (handle === null) return null;
  try {
    const stat = await handle.stat();
    if (!stat.isFile() || stat.size > PUB_BYTES_MAX) refuseFile('pub', 'a verifier key on one line');
    return await handle.readFile();
  } finally {
    await handle.close();
  }
}
