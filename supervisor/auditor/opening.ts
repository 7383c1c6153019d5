import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { type Checkpoint, openCheckpoint } from '../../abi/audit/checkpoint.js';
import { checkConsistency } from '../../abi/audit/merkle.js';
import { type NoteKey, parseNoteKey } from '../../abi/audit/note.js';
import type { ToSupervisorOf } from '../../abi/audit/protocol.js';
import { createVerifier } from '../../abi/audit/signing.js';
import { asFault, Fault } from '../../abi/errno.js';
import { faultOfDisk } from './disk-file.js';

const PUB_BYTES_MAX = 4096;

/** The pinned key from its file. Throws Fault `bad_log` or `io_error`. */
export async function readPinnedKey(path: string): Promise<NoteKey> {
  try {
    const handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    try {
      const bytes = Buffer.alloc(PUB_BYTES_MAX);
      const { bytesRead } = await handle.read(bytes, 0, bytes.length, 0);
      return parseNoteKey(bytes.toString('utf8', 0, bytesRead));
    } finally {
      await handle.close();
    }
  } catch (thrown) {
    throw faultOfDisk("reading the log's pinned key", thrown);
  }
}

/**
 * What the supervisor believes of an auditor that says `opened`: only what the pinned key signed and what extends the checkpoint that
 * the supervisor knows. The auditor's own word is not enough; its key or its files may have been exchanged. Throws Fault `bad_log`.
 */
export function checkOpened(opened: ToSupervisorOf<'opened'>, key: NoteKey, known: string | null): Checkpoint {
  const verify = createVerifier(key.publicKey);
  const now = openCheckpoint(opened.checkpoint, key, verify);
  if (now.size !== opened.treeSize) throw new Fault('bad_log', 'the auditor names another size than it signed');
  if (known === null) {
    if (now.size === 0) return now;
    const message =
      `the log has ${now.size} entries, but the stored checkpoint is missing; if this is meant, verify the log and
store its last checkpoint again`.replaceAll('\n', ' ');
    throw new Fault('bad_log', message, { field: 'checkpoint' });
  }
  const before = openStored(known, key);
  if (checkConsistency(before.size, before.root, now.size, now.root, opened.proof)) return now;
  throw new Fault('bad_log', 'the log does not extend the stored checkpoint: it was cut, replaced or forked');
}

function openStored(known: string, key: NoteKey): Checkpoint {
  try {
    return openCheckpoint(known, key, createVerifier(key.publicKey));
  } catch (thrown) {
    throw new Fault('bad_log', `the stored checkpoint: ${asFault(thrown).message}`, { cause: thrown });
  }
}
