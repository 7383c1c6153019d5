import { randomBytes } from 'node:crypto';
import { z } from 'zod';
import { asFault, Fault } from '../../abi/errno.js';
import { LIMITS } from '../../abi/limits.js';
import type { HeldDirectory } from './held-directory.js';
import { MANIFEST_FILE, META_BYTES_MAX, META_FILE } from './meta.js';
import { isCapsuleName } from './names.js';
import { CAPSULES_PATH, type StorePlace } from './store-place.js';

const UNDO_FILE = 'undo.json';
/** Both texts as JSON: at worst six characters for one. */
const UNDO_BYTES_MAX = 6 * (LIMITS.manifestBytesMax + META_BYTES_MAX) + 1024;

/** What stood here before a change that is under way; both null when nothing did. */
const UNDO = z.strictObject({ manifest: z.string().nullable(), meta: z.string().nullable() });

/**
 * A change of what is installed under one name. `undo.json` with the old record is written first and removed last, so
 * whenever the machine stops in between, the next boot finds it and puts the old version back: nobody runs a version
 * that was never seen to become ready. Modules are kept by content and are not part of it.
 */
export class RecordChange {
  readonly #place: StorePlace;
  readonly #principal: string;
  readonly #name: string;
  /** Nothing stood here before. */
  readonly isFirst: boolean;

  private constructor(place: StorePlace, principal: string, name: string, isFirst: boolean) {
    this.#place = place;
    this.#principal = principal;
    this.#name = name;
    this.isFirst = isFirst;
  }

  static async begin(place: StorePlace, principal: string, name: string): Promise<RecordChange> {
    // One that is still half done is settled first: what it left is not what anybody wants back.
    const left = await place.insideCapsule(principal, name, true, (at) => readText(at, UNDO_FILE));
    if (left !== null) await undoRecord(place, principal, name);
    const undo = await place.insideCapsule(principal, name, true, async (at) => {
      const before = { manifest: await readText(at, MANIFEST_FILE), meta: await readText(at, META_FILE) };
      await at.writeFileAtomic(UNDO_FILE, Buffer.from(JSON.stringify(before)));
      return before;
    });
    return new RecordChange(place, principal, name, undo.manifest === null && undo.meta === null);
  }

  /** The new version stays. */
  async keep(): Promise<void> {
    await this.#place.insideCapsule(this.#principal, this.#name, false, (at) => at.remove(UNDO_FILE));
  }

  async undo(): Promise<void> {
    await undoRecord(this.#place, this.#principal, this.#name);
  }
}

export interface Interrupted {
  readonly undone: string[];
  /** Those of them that were first installs: nothing is installed under the name now. */
  readonly removed: string[];
  readonly problems: { readonly name: string; readonly fault: Fault }[];
}

/**
 * Puts back what changes left half done; called before anything is started. One that cannot be put back is a problem of
 * its own: what stands there is still checked against its hashes at the start.
 */
export async function undoInterrupted(place: StorePlace, principal: string): Promise<Interrupted> {
  const undone: string[] = [];
  const removed: string[] = [];
  const problems: { readonly name: string; readonly fault: Fault }[] = [];
  await place.inside(['bin'], true, (bin) => bin.sweep());
  for (const name of await place.list(['home', principal, ...CAPSULES_PATH])) {
    try {
      if (name.startsWith(REMOVED_PREFIX)) await place.insideCapsules(principal, (at) => at.remove(name));
      if (!isCapsuleName(name)) continue;
      const entries = await place.insideCapsule(principal, name, false, (at) => at.sweep());
      // Cut off before the first file of a first install was there: a name without a record would count as a damaged one.
      if (entries.length === 0) await removeRecord(place, principal, name);
      if (!entries.includes(UNDO_FILE)) continue;
      if (!(await undoRecord(place, principal, name))) removed.push(name);
      undone.push(name);
    } catch (thrown) {
      problems.push({ name, fault: asFault(thrown) });
    }
  }
  return { undone, removed, problems };
}

const REMOVED_PREFIX = '.removed-';

/** Gone at once under its name, then from the disk: what a crash leaves over has a name that nobody loads. */
export async function removeRecord(place: StorePlace, principal: string, name: string): Promise<void> {
  await place.insideCapsules(principal, async (at) => {
    const away = `${REMOVED_PREFIX}${randomBytes(8).toString('hex')}`;
    await at.rename(name, away);
    await at.remove(away);
  });
}

/** @returns whether a version stands there again */
async function undoRecord(place: StorePlace, principal: string, name: string): Promise<boolean> {
  const before = await place.insideCapsule(principal, name, false, async (at) => {
    const undo = decodeUndo(await at.readFile(UNDO_FILE, UNDO_BYTES_MAX));
    if (undo.manifest === null || undo.meta === null) return null;
    await at.writeFileAtomic(MANIFEST_FILE, Buffer.from(undo.manifest));
    await at.writeFileAtomic(META_FILE, Buffer.from(undo.meta));
    await at.remove(UNDO_FILE);
    return undo;
  });
  if (before === null) await removeRecord(place, principal, name);
  return before !== null;
}

function decodeUndo(bytes: Buffer): z.output<typeof UNDO> {
  try {
    return UNDO.parse(JSON.parse(bytes.toString('utf8')));
  } catch (cause) {
    throw new Fault('bad_manifest', `${UNDO_FILE}: is damaged`, { field: UNDO_FILE, cause });
  }
}

async function readText(at: HeldDirectory, name: string): Promise<string | null> {
  try {
    return (await at.readFile(name, UNDO_BYTES_MAX)).toString('utf8');
  } catch (thrown) {
    if (asFault(thrown).code === 'not_found') return null;
    throw thrown;
  }
}
