import { realpath } from 'node:fs/promises';
import { join } from 'node:path';
import type { CommitResult, DiffRow, RollbackResult } from '../abi/control.js';
import { Fault } from '../abi/errno.js';
import { LIMITS } from '../abi/limits.js';
import type { Actor } from '../bus/message.js';
import { type Home, openPrincipalHome } from './home.js';
import type { CommandPlace } from './host-process/service.js';
import type { Sessions } from './sessions.js';
import { type FilesService, noWorkspace } from './syscalls/fs.js';
import { CommandLayer } from './vfs/command-layer.js';
import { commitOverlay } from './vfs/commit.js';
import { diffOverlay } from './vfs/diff.js';
import { DirectMount } from './vfs/direct-mount.js';
import { findPaths, type PathRule } from './vfs/find-paths.js';
import { openRoot } from './vfs/held-dir.js';
import type { Mount } from './vfs/mount.js';
import type { GuestPath } from './vfs/path.js';
import { previewWrite } from './vfs/preview.js';
import { type ByteQuota, measureTreeBytes, StorageQuota } from './vfs/quota.js';
import { rollbackOverlay } from './vfs/rollback.js';
import { openSessionFiles, type SessionFiles } from './vfs/session-files.js';

interface PrincipalMounts {
  readonly home: DirectMount;
  readonly tmp: DirectMount;
}

/** The mounts of every session and principal, opened when first used and kept until shutdown. */
export class KernelFiles implements FilesService {
  readonly #home: Home;
  readonly #sessions: Sessions;
  readonly #bySession = new Map<string, Promise<SessionFiles>>();
  readonly #byPrincipal = new Map<string, Promise<PrincipalMounts>>();
  readonly #quotas = new Map<string, Promise<ByteQuota>>();
  readonly #leftLayers = new Set<CommandLayer>();
  readonly #denied: PathRule | null;

  /** `denied`: paths of workspaces that commands neither see nor change. The file calls ask the gate about each path. */
  constructor(home: Home, sessions: Sessions, denied: PathRule | null = null) {
    this.#home = home;
    this.#sessions = sessions;
    this.#denied = denied;
  }

  scopeOf(path: GuestPath, { session }: Actor): string | undefined {
    return path.scheme === 'cwd' && session !== null ? this.#sessions.find(session)?.workspace : undefined;
  }

  async mountFor(path: GuestPath, actor: Actor): Promise<Mount> {
    if (actor.session !== null) return (await this.#sessionFiles(actor.session)).mount(path);
    if (path.scheme === 'cwd') throw noWorkspace();
    return (await this.#principalMounts(actor.principal))[path.scheme];
  }

  async previewWrite(path: GuestPath, content: Buffer, actor: Actor): Promise<string[]> {
    return previewWrite(await this.mountFor(path, actor), path, content);
  }

  /** The session's workspace for one command of a capsule, with a layer for what it writes. The caller removes the layer. */
  async openCommandPlace({ session }: Actor): Promise<CommandPlace> {
    if (session === null) throw noWorkspace();
    const { overlay } = await this.#sessionFiles(session);
    const { principal, workspace } = this.#sessions.get(session);
    const quota = await this.#quotaOf(principal);
    const stateDir = join(this.#home.overlays, session);
    const hidden = this.#denied === null ? [] : await findPaths(overlay, this.#denied);
    // Before there is a layer: the workspace may be gone.
    const root = await realpath(workspace);
    await this.#removeLeftLayers();
    const layer = await CommandLayer.make(stateDir, overlay, this.#denied);
    return {
      workspace: root,
      hidden: hidden.map(({ segments, isDirectory }) => ({ path: join(root, ...segments), isDirectory })),
      below: join(stateDir, 'upper'),
      lowerFd: overlay.lower.fd,
      belowFd: overlay.upper.root.fd,
      layer: {
        dir: layer.dir,
        markStart: () => layer.markStart(),
        bytes: () => layer.bytes(),
        freeBytes: () => layer.freeBytes(),
        fits: (bytes) => fits(quota, bytes),
        adopt: async (mergedPath) => (await layer.adopt(mergedPath)).skipped,
        remove: () => this.#removeLayer(layer),
      },
    };
  }

  /** One that cannot be removed now, out of descriptors for example, is tried again before the next command. */
  async #removeLayer(layer: CommandLayer): Promise<void> {
    try {
      await layer.remove();
    } catch (error) {
      this.#leftLayers.add(layer);
      throw error;
    }
  }

  async #removeLeftLayers(): Promise<void> {
    const left = [...this.#leftLayers];
    this.#leftLayers.clear();
    await Promise.allSettled(left.map((layer) => this.#removeLayer(layer)));
  }

  async diff(session: string, paths: readonly string[] | undefined): Promise<DiffRow[]> {
    return diffOverlay((await this.#sessionFiles(session)).overlay, paths);
  }

  async commit(session: string, paths: readonly string[] | undefined): Promise<CommitResult> {
    return commitOverlay((await this.#sessionFiles(session)).overlay, paths);
  }

  async rollback(session: string, paths: readonly string[] | undefined): Promise<RollbackResult> {
    return rollbackOverlay((await this.#sessionFiles(session)).overlay, paths);
  }

  async close(): Promise<void> {
    const sessions = await Promise.allSettled(this.#bySession.values());
    for (const opened of sessions) if (opened.status === 'fulfilled') await opened.value.close();
    const principals = await Promise.allSettled(this.#byPrincipal.values());
    for (const opened of principals) {
      if (opened.status !== 'fulfilled') continue;
      await opened.value.home.close();
      await opened.value.tmp.close();
    }
  }

  #sessionFiles(id: string): Promise<SessionFiles> {
    return openOnce(this.#bySession, id, async () => {
      const { principal, workspace } = this.#sessions.get(id);
      const { root, tmp } = await openPrincipalHome(this.#home, principal);
      const stateDir = join(this.#home.overlays, id);
      const files = await openSessionFiles({
        workspace,
        stateDir,
        homeDir: root,
        tmpDir: tmp,
        quota: await this.#quotaOf(principal),
        protectedDirs: [this.#home.root, ...systemDirs(root)],
      });
      try {
        await CommandLayer.recover(stateDir, files.overlay, this.#denied);
        return files;
      } catch (error) {
        await files.close();
        throw error;
      }
    });
  }

  #principalMounts(principal: string): Promise<PrincipalMounts> {
    return openOnce(this.#byPrincipal, principal, async () => {
      const { root, tmp } = await openPrincipalHome(this.#home, principal);
      const quota = await this.#quotaOf(principal);
      const forbidden = await identify(systemDirs(root));
      const home = new DirectMount('home', await openRoot(root, 'home'), quota, forbidden);
      return { home, tmp: new DirectMount('tmp', await openRoot(tmp, 'tmp'), quota, forbidden) };
    });
  }

  #quotaOf(principal: string): Promise<ByteQuota> {
    return openOnce(this.#quotas, principal, async () => {
      const { root } = await openPrincipalHome(this.#home, principal);
      return new StorageQuota(LIMITS.storageBytesPerPrincipalMax, await measureTreeBytes(root));
    });
  }
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

/** Two calls at once share one opening; one that failed is tried again by the next call. */
function openOnce<T>(cache: Map<string, Promise<T>>, key: string, open: () => Promise<T>): Promise<T> {
  const known = cache.get(key);
  if (known !== undefined) return known;
  const opening = open();
  cache.set(key, opening);
  opening.catch(() => cache.delete(key));
  return opening;
}
