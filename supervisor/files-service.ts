import { realpath } from 'node:fs/promises';
import { join } from 'node:path';
import type { CommitResult, DiffRow, RollbackResult } from '../abi/control.js';
import { Fault } from '../abi/errno.js';
import { LIMITS } from '../abi/limits.js';
import type { Actor } from '../bus/message.js';
import { HeldPool } from './held-pool.js';
import { type Home, openPrincipalHome } from './home.js';
import type { CommandPlace } from './host-process/service.js';
import type { Sessions } from './sessions.js';
import { type FilesService, noWorkspace } from './syscalls/fs.js';
import { CommandLayer, measureLeftLayers } from './vfs/command-layer.js';
import { commitOverlay } from './vfs/commit.js';
import { diffOverlay } from './vfs/diff.js';
import { DirectMount } from './vfs/direct-mount.js';
import { findPaths, type PathRule } from './vfs/find-paths.js';
import { openRoot } from './vfs/held-dir.js';
import { LeasedMount } from './vfs/leased-mount.js';
import type { Mount } from './vfs/mount.js';
import type { GuestPath } from './vfs/path.js';
import { previewWrite } from './vfs/preview.js';
import { type ByteQuota, measureTreeBytes, StorageQuota } from './vfs/quota.js';
import { rollbackOverlay } from './vfs/rollback.js';
import { openSessionFiles, type SessionFiles, UPPER_DIR } from './vfs/session-files.js';

interface PrincipalMounts {
  readonly home: DirectMount;
  readonly tmp: DirectMount;
  close(): Promise<void>;
}

/** The mounts of every session and principal, opened when they are used; those not used for longest are closed again. */
export class KernelFiles implements FilesService {
  readonly #home: Home;
  readonly #sessions: Sessions;
  readonly #bySession: HeldPool<SessionFiles>;
  readonly #byPrincipal: HeldPool<PrincipalMounts>;
  /** Kept until shutdown, however often the mounts are opened: two of one principal would each give all of it away. */
  readonly #quotas = new Map<string, Promise<ByteQuota>>();
  /** By session: what was counted of layers that commands of a killed supervisor left, until the session takes them over. */
  readonly #leftBytes = new Map<string, number>();
  /** Removals of layers that did not succeed. */
  readonly #leftLayers = new Set<() => Promise<void>>();
  readonly #denied: PathRule | null;

  /** `denied`: paths of workspaces that commands neither see nor change. The file calls ask the gate about each path. */
  constructor(home: Home, sessions: Sessions, denied: PathRule | null = null) {
    this.#home = home;
    this.#sessions = sessions;
    this.#denied = denied;
    this.#bySession = new HeldPool(LIMITS.sessionFilesOpenMax, (id) => this.#openSession(id));
    this.#byPrincipal = new HeldPool(LIMITS.principalFilesOpenMax, (principal) => this.#openPrincipal(principal));
  }

  scopeOf(path: GuestPath, { session }: Actor): string | undefined {
    return path.scheme === 'cwd' && session !== null ? this.#sessions.find(session)?.workspace : undefined;
  }

  async mountFor(path: GuestPath, { session, principal }: Actor): Promise<Mount> {
    if (session !== null) {
      return new LeasedMount((work) => this.#bySession.use(session, (files) => work(files.mount(path))));
    }
    const { scheme } = path;
    if (scheme === 'cwd') throw noWorkspace();
    return new LeasedMount((work) => this.#byPrincipal.use(principal, (mounts) => work(mounts[scheme])));
  }

  async previewWrite(path: GuestPath, content: Buffer, actor: Actor): Promise<string[]> {
    return previewWrite(await this.mountFor(path, actor), path, content);
  }

  /**
   * The session's workspace for one command of a capsule, with a layer for what it writes. The session stays open until the
   * caller has removed the layer: its next opening would take over whatever layers it finds.
   */
  async openCommandPlace({ session }: Actor): Promise<CommandPlace> {
    if (session === null) throw noWorkspace();
    const { held, release } = await this.#bySession.lease(session);
    try {
      return await this.#commandPlace(session, held, release);
    } catch (error) {
      release();
      throw error;
    }
  }

  async #commandPlace(session: string, { overlay }: SessionFiles, release: () => void): Promise<CommandPlace> {
    const { principal, workspace } = this.#sessions.get(session);
    const quota = await this.#quotaOf(principal);
    const stateDir = this.#stateDir(session);
    const hidden = this.#denied === null ? [] : await findPaths(overlay, this.#denied);
    // Before there is a layer: the workspace may be gone.
    const root = await realpath(workspace);
    await this.#removeLeftLayers();
    const layer = await CommandLayer.make(stateDir, overlay, this.#denied);
    const remove = async (): Promise<void> => {
      await layer.remove();
      release();
    };
    return {
      workspace: root,
      hidden: hidden.map(({ segments, isDirectory }) => ({ path: join(root, ...segments), isDirectory })),
      below: join(stateDir, UPPER_DIR),
      lowerFd: overlay.lower.fd,
      belowFd: overlay.upper.root.fd,
      layer: {
        dir: layer.dir,
        markStart: () => layer.markStart(),
        bytes: () => layer.bytes(),
        freeBytes: () => layer.freeBytes(),
        fits: (bytes) => fits(quota, bytes),
        adopt: async (mergedPath) => (await layer.adopt(mergedPath)).skipped,
        remove: () => this.#removeLayer(remove),
      },
    };
  }

  /** One that cannot be removed now, out of descriptors for example, is tried again before the next command. */
  async #removeLayer(remove: () => Promise<void>): Promise<void> {
    try {
      await remove();
    } catch (error) {
      this.#leftLayers.add(remove);
      throw error;
    }
  }

  async #removeLeftLayers(): Promise<void> {
    const left = [...this.#leftLayers];
    this.#leftLayers.clear();
    await Promise.allSettled(left.map((remove) => this.#removeLayer(remove)));
  }

  diff(session: string, paths: readonly string[] | undefined): Promise<DiffRow[]> {
    return this.#bySession.use(session, ({ overlay }) => diffOverlay(overlay, paths));
  }

  commit(session: string, paths: readonly string[] | undefined): Promise<CommitResult> {
    return this.#bySession.use(session, ({ overlay }) => commitOverlay(overlay, paths));
  }

  rollback(session: string, paths: readonly string[] | undefined): Promise<RollbackResult> {
    return this.#bySession.use(session, ({ overlay }) => rollbackOverlay(overlay, paths));
  }

  async close(): Promise<void> {
    await this.#bySession.close();
    await this.#byPrincipal.close();
  }

  #stateDir(session: string): string {
    return join(this.#home.overlays, session);
  }

  async #openSession(id: string): Promise<SessionFiles> {
    const { principal, workspace } = this.#sessions.get(id);
    const { root, tmp } = await openPrincipalHome(this.#home, principal);
    const quota = await this.#quotaOf(principal);
    const files = await openSessionFiles({
      workspace,
      stateDir: this.#stateDir(id),
      homeDir: root,
      tmpDir: tmp,
      quota,
      protectedDirs: [this.#home.root, ...systemDirs(root)],
    });
    try {
      await this.#recoverLayers(id, files, quota);
      return files;
    } catch (error) {
      await files.close();
      throw error;
    }
  }

  /** What was counted of left layers makes room for what is taken over of them, which counts anew. */
  async #recoverLayers(id: string, { overlay }: SessionFiles, quota: ByteQuota): Promise<void> {
    quota.give(this.#leftBytes.get(id) ?? 0);
    this.#leftBytes.delete(id);
    try {
      await CommandLayer.recover(this.#stateDir(id), overlay, this.#denied);
    } finally {
      await this.#countLeftLayers(id, quota);
    }
  }

  async #countLeftLayers(id: string, quota: ByteQuota): Promise<void> {
    const bytes = await measureLeftLayers(this.#stateDir(id));
    if (bytes === 0) return;
    quota.count(bytes);
    this.#leftBytes.set(id, bytes);
  }

  async #openPrincipal(principal: string): Promise<PrincipalMounts> {
    const { root, tmp } = await openPrincipalHome(this.#home, principal);
    const quota = await this.#quotaOf(principal);
    const forbidden = await identify(systemDirs(root));
    const home = new DirectMount('home', await openRoot(root, 'home'), quota, forbidden);
    try {
      const mounts = { home, tmp: new DirectMount('tmp', await openRoot(tmp, 'tmp'), quota, forbidden) };
      return { ...mounts, close: () => closeBoth(mounts) };
    } catch (error) {
      await home.close();
      throw error;
    }
  }

  #quotaOf(principal: string): Promise<ByteQuota> {
    const known = this.#quotas.get(principal);
    if (known !== undefined) return known;
    const measuring = this.#measure(principal);
    this.#quotas.set(principal, measuring);
    // One that failed is tried again by the next call.
    measuring.catch(() => this.#quotas.delete(principal));
    return measuring;
  }

  /**
   * Counts what the principal has stored: its home, and what its sessions hold, also those of earlier starts. Nobody writes
   * there meanwhile, since every mount waits for its quota. Sessions made from now on begin empty.
   */
  async #measure(principal: string): Promise<ByteQuota> {
    const { root } = await openPrincipalHome(this.#home, principal);
    const quota = new StorageQuota(LIMITS.storageBytesPerPrincipalMax, await measureTreeBytes(root));
    for (const session of this.#sessions.list()) {
      if (session.principal !== principal) continue;
      quota.count(await measureTreeBytes(join(this.#stateDir(session.id), UPPER_DIR)));
      await this.#countLeftLayers(session.id, quota);
    }
    return quota;
  }
}

async function closeBoth({ home, tmp }: { readonly home: DirectMount; readonly tmp: DirectMount }): Promise<void> {
  await home.close();
  await tmp.close();
}

function fits(quota: ByteQuota, bytes: number): boolean {
  try {
    quota.take(bytes);
  } catch (error) {
    if (error instanceof Fault && error.code === 'quota_exceeded') return false;
    throw error;
  }
  quota.give(bytes);
  return true;
}

/** Below a principal's home, but the system's: installed code, settings and logs. No guest path leads there. */
function systemDirs(principalRoot: string): string[] {
  return ['.local/capsules', '.local/log', '.config'].map((name) => join(principalRoot, name));
}

async function identify(paths: readonly string[]): Promise<ReadonlySet<string>> {
  const identities = new Set<string>();
  for (const path of paths) {
    const held = await openRoot(path, 'system directory');
    identities.add(held.identity);
    held.close();
  }
  return identities;
}
