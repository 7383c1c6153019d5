import { mkdir, realpath } from 'node:fs/promises';
import path from 'node:path';
import { Fault } from '../../abi/errno.js';
import { removeLeftovers } from './commit-file.js';
import { DirectMount } from './direct-mount.js';
import { errnoOf } from './errno-fault.js';
import { openRoot } from './held-dir.js';
import type { Mount } from './mount.js';
import { Overlay } from './overlay.js';
import type { GuestPath } from './path.js';
import type { ByteQuota } from './quota.js';

/** The session's changes, in its state directory: what counts against the quota of its principal. */
export const UPPER_DIR = 'upper';

export interface SessionFilesOptions {
  /** The real directory behind cwd://. */
  readonly workspace: string;
  /** Of this session alone; `upper`, `work` and `meta` are made in it. */
  readonly stateDir: string;
  /** Of the principal; shared by its sessions. */
  readonly homeDir: string;
  readonly tmpDir: string;
  /** One object per principal, in all its sessions: it is also what their writes to home and tmp are ordered by. */
  readonly quota: ByteQuota;
  /**
   * Directories that no guest may enter though a root holds them: the system's own home, which a workspace may contain;
   * inside the home, what a capsule must not rewrite. One that does not exist when the session is opened is not
   * protected, so the caller makes them first.
   */
  readonly protectedDirs?: readonly string[];
}

export interface SessionFiles {
  readonly overlay: Overlay;
  mount(path: GuestPath): Mount;
  /** Waits for the operations that are running, refuses new ones with `cancelled`, and closes every handle. */
  close(): Promise<void>;
}

/**
 * Opens the three roots of one session, making the directories of ours that are missing, and finishes what a killed
 * process left half done. Throws `not_found` (workspace), `policy_denied` (workspace inside a protected directory),
 * `not_supported` (no /proc), `io_error`.
 */
export async function openSessionFiles(options: SessionFilesOptions): Promise<SessionFiles> {
  const { workspace, stateDir, homeDir, tmpDir, quota } = options;
  const dirs = {
    lower: workspace,
    upper: path.join(stateDir, UPPER_DIR),
    work: path.join(stateDir, 'work'),
    meta: path.join(stateDir, 'meta'),
  };
  for (const dir of [dirs.upper, dirs.work, dirs.meta, homeDir, tmpDir]) {
    await mkdir(dir, { recursive: true, mode: 0o700 });
  }
  const forbidden = await identifyProtected(workspace, [stateDir, ...(options.protectedDirs ?? [])]);
  const opened: { close(): Promise<void> }[] = [];
  const closeAll = async (): Promise<void> => {
    for (const mount of opened) await mount.close();
  };
  try {
    const overlay = await Overlay.open(dirs, { quota, forbidden });
    opened.push(overlay);
    await overlay.change([], () => removeLeftovers(overlay));
    const home = new DirectMount('home', await openRoot(homeDir, 'home'), quota, forbidden);
    opened.push(home);
    const tmp = new DirectMount('tmp', await openRoot(tmpDir, 'tmp'), quota, forbidden);
    opened.push(tmp);
    const mounts = { cwd: overlay, home, tmp } as const;
    return { overlay, mount: (guestPath) => mounts[guestPath.scheme], close: closeAll };
  } catch (error) {
    await closeAll();
    throw error;
  }
}

/**
 * Identities of the protected directories. Identities, not paths: it must not matter by which name, link or mount a
 * walk comes to them. A workspace inside one of them would never meet it on the way, so that is refused here.
 */
async function identifyProtected(workspace: string, protectedDirs: readonly string[]): Promise<ReadonlySet<string>> {
  const identities = new Set<string>();
  const real = await realpathOrNull(workspace);
  for (const dir of protectedDirs) {
    const realDir = await realpathOrNull(dir);
    if (realDir === null) continue;
    if (real !== null && (real === realDir || real.startsWith(`${realDir}${path.sep}`))) {
      throw new Fault('policy_denied', 'workspace: lies inside the home of the system itself', { field: 'workspace' });
    }
    const root = await openRoot(realDir, 'protected directory');
    identities.add(root.identity);
    root.close();
  }
  return identities;
}

async function realpathOrNull(hostPath: string): Promise<string | null> {
  try {
    return await realpath(hostPath);
  } catch (error) {
    if (errnoOf(error) === null) throw error;
    return null;
  }
}
