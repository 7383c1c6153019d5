import fs from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { z } from 'zod';
import { Fault } from '../../abi/errno.js';
import { LIMITS } from '../../abi/limits.js';
import { type Base, lowerIdentity } from './base-identity.js';
import { readContent, writeAllAt } from './content.js';
import { withHandles } from './handle-scope.js';
import type { HeldEntry } from './held-dir.js';

const LOG_NAME = 'base.jsonl';
const FRESH_NAME = 'base.jsonl.new';
/** Lines read or written before the event loop gets a turn: a guest decides how many there are. */
const LINES_PER_TURN = 1024;

/** Segments joined with `/`. A damaged log must not lead a walk anywhere. */
const plainPath = z.string().refine((text) => text.split('/').every((name) => !['', '.', '..'].includes(name)));

/**
 * One line of the log, exactly one key:
 *   base    what a path was below when it was first changed
 *   forget  the change is gone: committed, rolled back, or undone by the guest
 *   hide    a directory of the upper layer is about to be swapped in two steps; if the path is missing there after a
 *           crash, a whiteout belongs there, or deleted files would come back
 *   shown   … and the swap is done
 *   temp    a half-written file in the lower layer, to be removed after a crash
 *   landed  … and it is gone
 */
const line = z.union([
  z.strictObject({ base: plainPath, was: lowerIdentity.nullable() }),
  z.strictObject({ forget: plainPath }),
  z.strictObject({ hide: plainPath }),
  z.strictObject({ shown: plainPath }),
  z.strictObject({ temp: plainPath }),
  z.strictObject({ landed: plainPath }),
]);
type Line = z.infer<typeof line>;

/**
 * The sidecar of one overlay: an append-only file in `meta/`. A line is in the file before the change it speaks of is
 * made, so a SIGKILL at any point leaves a record without a change (harmless: the next change of the path takes a
 * fresh one) and never a change without a record. Base records are also synced, to keep that order over a power cut.
 * A path is its segments joined with `/`.
 */
export class BaseRecords {
  readonly #meta: HeldEntry;
  readonly #bases = new Map<string, Base>();
  readonly #hides = new Set<string>();
  readonly #temps = new Set<string>();
  #file: FileHandle;
  #lines = 0;
  #bytes = 0;

  private constructor(meta: HeldEntry, file: FileHandle) {
    this.#meta = meta;
    this.#file = file;
  }

  /** Takes over `meta` and closes it in `close`. Throws `io_error` when the log is there and cannot be read. */
  static async open(meta: HeldEntry): Promise<BaseRecords> {
    const records = new BaseRecords(meta, await openLog(meta));
    try {
      await records.#load();
      return records;
    } catch (error) {
      await records.#file.close();
      throw error;
    }
  }

  /** undefined: no record, so what the path was is not known and a commit must not replace anything. */
  get(path: string): Base | undefined {
    return this.#bases.get(path);
  }

  /** Swaps that a crash cut short, and half-written files in the lower layer. Both are empty after a clean close. */
  get pendingHides(): readonly string[] {
    return [...this.#hides];
  }

  get pendingTemps(): readonly string[] {
    return [...this.#temps];
  }

  /** Throws `quota_exceeded` when the session has changed as many paths as it may. */
  async record(path: string, was: Base): Promise<void> {
    if (this.#bytes > LIMITS.overlayRecordBytesMax && this.#lines > 2 * this.#live()) await this.#rewrite();
    if (
      this.#bytes > LIMITS.overlayRecordBytesMax ||
      (this.#bases.size >= LIMITS.overlayRecordsMax && !this.#bases.has(path))
    ) {
      throw new Fault('quota_exceeded', 'session: too many paths are changed; commit or roll back some of them');
    }
    await this.#append({ base: path, was });
    await this.#file.datasync();
  }

  /** Drops the record of a path and, with `below`, of everything under it. */
  async forget(path: string, below = false): Promise<void> {
    const paths = this.#bases.has(path) ? [path] : [];
    if (below) for (const known of this.#bases.keys()) if (known.startsWith(`${path}/`)) paths.push(known);
    for (const known of paths) await this.#append({ forget: known });
  }

  async hide(path: string): Promise<void> {
    await this.#append({ hide: path });
    await this.#file.datasync();
  }

  async shown(path: string): Promise<void> {
    await this.#append({ shown: path });
  }

  async temp(path: string): Promise<void> {
    await this.#append({ temp: path });
  }

  async landed(path: string): Promise<void> {
    await this.#append({ landed: path });
  }

  async close(): Promise<void> {
    await this.#file.close();
    this.#meta.close();
  }

  async #append(entry: Line): Promise<void> {
    // At a known place, so that what a full disk left of a line is overwritten by the next one and not continued.
    const bytes = Buffer.from(`${JSON.stringify(entry)}\n`);
    await writeAllAt(this.#file, bytes, this.#bytes);
    this.#bytes += bytes.length;
    this.#apply(entry);
    if (this.#lines > 2 * this.#live() + LIMITS.overlayStaleLinesMax) await this.#rewrite();
  }

  #live(): number {
    return this.#bases.size + this.#hides.size + this.#temps.size;
  }

  #apply(entry: Line): void {
    this.#lines += 1;
    if ('base' in entry) this.#bases.set(entry.base, entry.was);
    else if ('forget' in entry) this.#bases.delete(entry.forget);
    else if ('hide' in entry) this.#hides.add(entry.hide);
    else if ('shown' in entry) this.#hides.delete(entry.shown);
    else if ('temp' in entry) this.#temps.add(entry.temp);
    else this.#temps.delete(entry.landed);
  }

  /**
   * A last line without its newline is a torn append: its change never happened. A line in the middle that cannot be
   * read is left out, which makes its path one without a record; the rewrite then drops both.
   */
  async #load(): Promise<void> {
    const text = await withHandles(async (scope) => {
      const entry = scope.own(await this.#meta.lookup(LOG_NAME));
      if (entry === null || entry.kind !== 'file') throw new Fault('io_error', 'session records: expected a file');
      return (await readContent(entry, 2 * LIMITS.overlayRecordBytesMax)).toString('utf8');
    });
    const complete = text.slice(0, text.lastIndexOf('\n') + 1);
    this.#bytes = Buffer.byteLength(complete);
    let damaged = complete.length !== text.length;
    for (const [at, row] of complete.split('\n').slice(0, -1).entries()) {
      if (at % LINES_PER_TURN === LINES_PER_TURN - 1) await nextTurn();
      const entry = parseLine(row);
      if (entry === null) damaged = true;
      else this.#apply(entry);
    }
    if (damaged || this.#lines > 2 * this.#live()) await this.#rewrite();
  }

  async #rewrite(): Promise<void> {
    const lines: Line[] = [...this.#bases].map(([base, was]) => ({ base, was }));
    for (const hide of this.#hides) lines.push({ hide });
    for (const temp of this.#temps) lines.push({ temp });
    await withHandles(async (scope) => {
      if (scope.own(await this.#meta.lookup(FRESH_NAME)) !== null) await this.#meta.removeFile(FRESH_NAME);
    });
    const fresh = await this.#meta.createFile(FRESH_NAME, 0o600);
    let bytes = 0;
    try {
      // A piece at a time: no call comes in between, since this is part of a change or of the opening, but others have their turn.
      for (let at = 0; at < lines.length; at += LINES_PER_TURN) {
        const rows = lines.slice(at, at + LINES_PER_TURN).map((entry) => `${JSON.stringify(entry)}\n`);
        const piece = Buffer.from(rows.join(''));
        await writeAllAt(fresh, piece, bytes);
        bytes += piece.length;
      }
      await fresh.datasync();
      await this.#meta.moveTo(FRESH_NAME, this.#meta, LOG_NAME);
    } catch (error) {
      await fresh.close();
      throw error;
    }
    // From here on the old handle would write to a file that no name leads to.
    const old = this.#file;
    this.#file = fresh;
    this.#lines = lines.length;
    this.#bytes = bytes;
    await old.close();
  }
}

function parseLine(text: string): Line | null {
  try {
    const parsed = line.safeParse(JSON.parse(text));
    return parsed.success ? parsed.data : null;
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}

async function openLog(meta: HeldEntry): Promise<FileHandle> {
  const { O_CREAT, O_NOFOLLOW, O_WRONLY } = fs.constants;
  return open(`/proc/self/fd/${meta.fd}/${LOG_NAME}`, O_WRONLY | O_CREAT | O_NOFOLLOW, 0o600);
}
