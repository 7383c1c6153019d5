import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { EntryError, entryErrorOf, errnoOf } from './errno-fault.js';
import { withHandles } from './handle-scope.js';
import type { HeldEntry } from './held-dir.js';

/** Fixed places: a search through PATH could find a program of the workspace. */
const MKNOD_PROGRAMS: readonly string[] = ['/usr/bin/mknod', '/bin/mknod'];
const MKNOD_WAIT_MS = 5_000;
const REASON_CHARS_MAX = 400;
const MASTER_NAME = 'whiteout';
/** Why none can be made for want of room, in mknod's words (its locale is C). */
const NO_ROOM: Readonly<Record<string, string>> = {
  'No space left on device': 'ENOSPC',
  'Disk quota exceeded': 'EDQUOT',
};
/** Why none ever can. Whatever else there is (no descriptor, no memory, a machine too busy) may pass. */
const NEVER: ReadonlySet<string> = new Set([
  'not installed',
  'Operation not permitted',
  'Operation not supported',
  'Function not implemented',
]);

/** Starts `mknod`; a parameter, so that a test can be a machine that has none. */
export type MakeNode = (program: string, directory: HeldEntry, name: string) => Promise<string | null>;

/**
 * Whiteouts of one session in the format of the kernel's overlayfs: character devices 0:0. Node cannot make one, so the
 * `mknod` program makes a single one in the work directory, and each deletion is a hard link to it, as overlayfs itself
 * does. Linux allows this to ordinary users since 5.8 (fs/namei.c, vfs_mknod).
 */
export class Whiteouts {
  readonly #work: HeldEntry;
  readonly #makeNode: MakeNode;

  constructor(work: HeldEntry, makeNode: MakeNode = makeNodeWith) {
    this.#work = work;
    this.#makeNode = makeNode;
  }

  /**
   * Puts a whiteout at a name that is free (`already_exists` otherwise). Throws EntryError `no_space` or `io_error` where none can
   * be made now, and `not_supported`, with the reason, where none ever can.
   */
  async link(directory: HeldEntry, name: string): Promise<void> {
    await this.prepare();
    try {
      await this.#work.linkTo(MASTER_NAME, directory, name);
    } catch (error) {
      // The file system allows so many links to one file (65,000 on ext4); then the next ones share a fresh one.
      if (errnoOf(error) !== 'EMLINK') throw error;
      await this.#work.removeFile(MASTER_NAME);
      await this.prepare();
      await this.#work.linkTo(MASTER_NAME, directory, name);
    }
  }

  /** Sees to it that the shared whiteout exists, so that what needs one can fail before it has changed anything. */
  async prepare(): Promise<void> {
    const kind = await withHandles(async (scope) => scope.own(await this.#work.lookup(MASTER_NAME))?.kind);
    if (kind === 'whiteout') return;
    if (kind !== undefined)
      throw new EntryError('io_error', `cannot be deleted: the session's ${MASTER_NAME} is damaged`);
    const reasons: string[] = [];
    for (const program of MKNOD_PROGRAMS) {
      const reason = await this.#makeNode(program, this.#work, MASTER_NAME);
      if (reason === null) return;
      const words = reason.split(': ').at(-1) ?? '';
      const full = NO_ROOM[words];
      if (full !== undefined) throw entryErrorOf(full);
      if (!NEVER.has(words)) throw new EntryError('io_error', `cannot be deleted now: no whiteout was made (${words})`);
      reasons.push(reason);
    }
    throw new EntryError('not_supported', `cannot be deleted: this machine makes no whiteout (${reasons.join('; ')})`);
  }
}

/**
 * Runs `mknod NAME c 0 0` in a held directory, which the child inherits as descriptor 3: no path of ours is resolved.
 * Returns null, or why it did not work.
 */
async function makeNodeWith(program: string, directory: HeldEntry, name: string): Promise<string | null> {
  const child = spawn(program, ['-m', '000', `/proc/self/fd/3/${name}`, 'c', '0', '0'], {
    stdio: ['ignore', 'ignore', 'pipe', directory.fd],
    env: {},
    timeout: MKNOD_WAIT_MS,
    killSignal: 'SIGKILL',
  });
  let said = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    said = `${said}${text}`.slice(0, REASON_CHARS_MAX);
  });
  const exit = await exitOf(child);
  if (exit === 'exit 0') return null;
  const reason = said.trim().split(': ').at(-1);
  return `${program}: ${reason === undefined || reason === '' ? exit : reason}`;
}

async function exitOf(child: ChildProcess): Promise<string> {
  try {
    const [code, signal] = await once(child, 'close');
    return signal === null ? `exit ${code}` : `ended by ${signal}`;
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === null) throw error;
    return errno === 'ENOENT' ? 'not installed' : errno;
  }
}
