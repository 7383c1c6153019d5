import { randomBytes } from 'node:crypto';
import { chmod, mkdir, open, readdir, rm, rmdir, stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { Fault } from '../../abi/errno.js';
import { LIMITS } from '../../abi/limits.js';
import { type Adopted, adoptLayer } from './adopt.js';
import { errnoOf, faultOf } from './errno-fault.js';
import type { PathRule } from './find-paths.js';
import { withHandles } from './handle-scope.js';
import { type HeldEntry, openRoot } from './held-dir.js';
import type { Overlay } from './overlay.js';
import { ENTRY_BYTES } from './quota.js';
import { emptyDirectory } from './remove-tree.js';

/** Where layers of commands are, beside the session's own. */
const COMMANDS_DIR = 'commands';
const MARKER = 'since';
/** The unit of st_blocks (stat(2)): a sparse file takes what it has, not what it claims. */
const BLOCK_BYTES = 512;
const OWNER_ALL = 0o700;
/** File systems stamp changes with a clock that moves every few milliseconds; this is how often we look whether it has. */
const TICK_MS = 1;

/**
 * The upper layer of one command, of its own: the kernel mounts it over the session's view. The session's layer is below
 * it and only read, so nothing that our own file calls do meanwhile can lose what the command writes, or the other way round.
 */
export class CommandLayer {
  /** Holds `upper`, `work`, and the mount points `lower` and `below`. */
  readonly dir: string;
  readonly #overlay: Overlay;
  readonly #denied: PathRule | null;

  private constructor(dir: string, overlay: Overlay, denied: PathRule | null) {
    this.dir = dir;
    this.#overlay = overlay;
    this.#denied = denied;
  }

  static async make(stateDir: string, overlay: Overlay, denied: PathRule | null = null): Promise<CommandLayer> {
    const dir = join(stateDir, COMMANDS_DIR, randomBytes(8).toString('hex'));
    for (const name of ['upper', 'work', 'lower', 'below'])
      await mkdir(join(dir, name), { recursive: true, mode: 0o700 });
    // The kernel shows the topmost root's mode as that of the whole.
    await chmod(join(dir, 'upper'), (Number(overlay.lower.stat.mode) & 0o777 & ~0o022) | 0o700);
    return new CommandLayer(dir, overlay, denied);
  }

  /** Whatever changes from now on has a change time that is not before the marker's. To be called before the mount. */
  async markStart(): Promise<void> {
    const marker = await open(join(this.dir, MARKER), 'wx', 0o600);
    try {
      const { ctimeNs: first } = await marker.stat({ bigint: true });
      for (let now = first; now <= first; now = (await marker.stat({ bigint: true })).ctimeNs) {
        await new Promise((resolve) => setTimeout(resolve, TICK_MS));
        await marker.chmod(0o600);
      }
    } finally {
      await marker.close();
    }
  }

  /** What the command has written so far, as it will count against the quota; infinite where it cannot be told. */
  async bytes(): Promise<number> {
    return measureLayer(this.dir);
  }

  /** Bytes that the file system below still has for everybody. */
  async freeBytes(): Promise<number> {
    const { bavail, bsize } = await statfs(this.dir);
    return bavail * bsize;
  }

  /** Makes it part of the session's overlay. `mergedPath`: where the kernel's merged view can be seen, if it still can. */
  async adopt(mergedPath: string | null): Promise<Adopted> {
    const { ctimeNs: sinceNs } = await stat(join(this.dir, MARKER), { bigint: true });
    const layer = await openRoot(join(this.dir, 'upper'), 'command');
    try {
      const merged = mergedPath === null ? null : await openIfThere(mergedPath);
      try {
        return await adoptLayer(this.#overlay, { layer, merged, sinceNs, denied: this.#denied });
      } finally {
        merged?.close();
      }
    } finally {
      layer.close();
    }
  }

  /** The marker first, which takes no descriptor: whatever is left without it is not taken over a second time by `recover`. */
  async remove(): Promise<void> {
    await rm(join(this.dir, MARKER), { force: true });
    await emptyDirectory(this.dir);
    await rmdir(this.dir);
  }

  /** Takes over what commands wrote that a killed supervisor left running. They are dead: they die with it. */
  static async recover(stateDir: string, overlay: Overlay, denied: PathRule | null = null): Promise<void> {
    const parent = join(stateDir, COMMANDS_DIR);
    for (const name of await namesIn(parent)) {
      const layer = new CommandLayer(join(parent, name), overlay, denied);
      try {
        if ((await namesIn(layer.dir)).includes(MARKER)) await layer.adopt(null);
      } catch (error) {
        // More than may be stored: what fitted is there, and the session must open all the same.
        if (!(error instanceof Fault && error.code === 'quota_exceeded')) throw error;
      }
      await layer.remove();
    }
  }
}

/**
 * Bytes in layers that `recover` will take over when the session is opened; at most the whole quota, so that a number too
 * large to tell can be given back again.
 */
export async function measureLeftLayers(stateDir: string): Promise<number> {
  const parent = join(stateDir, COMMANDS_DIR);
  let bytes = 0;
  for (const name of await namesIn(parent)) {
    if ((await namesIn(join(parent, name))).includes(MARKER)) bytes += await measureLayer(join(parent, name));
  }
  return Math.min(bytes, LIMITS.storageBytesPerPrincipalMax);
}

async function measureLayer(dir: string): Promise<number> {
  const root = await openRoot(join(dir, 'upper'), 'command');
  try {
    return await measureTree(root, 0, { entries: 0 });
  } finally {
    root.close();
  }
}

/** Null when whoever showed it has been killed since: a command that is stopped keeps what it wrote all the same. */
async function openIfThere(path: string): Promise<HeldEntry | null> {
  try {
    return await openRoot(path, 'command');
  } catch (error) {
    if (error instanceof Fault && (error.code === 'not_found' || errnoOf(error.cause) === 'ESRCH')) return null;
    throw error;
  }
}

/** While the command runs: what vanishes is nothing, what cannot be looked into or lies too deep is too much. */
async function measureTree(directory: HeldEntry, depth: number, seen: { entries: number }): Promise<number> {
  let bytes = 0;
  try {
    // Whoever locks a directory against itself would hide what it holds.
    if (!isOpen(directory)) await directory.setMode((Number(directory.stat.mode) & 0o777) | OWNER_ALL);
    for await (const row of directory.names()) {
      bytes += ENTRY_BYTES;
      seen.entries += 1;
      // More than a session may change: it could not be kept, and looking at it would go on and on.
      if (seen.entries > LIMITS.overlayRecordsMax) return Number.POSITIVE_INFINITY;
      if (!row.isFile && !row.isDirectory) continue;
      bytes += await withHandles(async (scope) => {
        const entry = scope.own(await directory.lookup(row.name));
        if (entry?.kind === 'file') return Number(entry.stat.blocks) * BLOCK_BYTES;
        if (entry?.kind !== 'directory') return 0;
        return depth < LIMITS.pathSegmentsMax ? measureTree(entry, depth + 1, seen) : Number.POSITIVE_INFINITY;
      });
    }
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === 'EMFILE' || errno === 'ENFILE') throw faultOf(error, 'command');
    if (errno !== 'ENOENT') return Number.POSITIVE_INFINITY;
  }
  return bytes;
}

function isOpen({ stat }: HeldEntry): boolean {
  return (Number(stat.mode) & OWNER_ALL) === OWNER_ALL;
}

async function namesIn(dir: string): Promise<string[]> {
  try {
    return await readdir(dir);
  } catch (error) {
    ignoreMissing(error);
    return [];
  }
}

function ignoreMissing(error: unknown): void {
  if (errnoOf(error) !== 'ENOENT') throw error;
}
