import type { PathGuard } from './layer-walk.js';
import type { GuestPath } from './path.js';

/** As the `fs_stat` call returns it (ABI reference 2.1): `size` in bytes, `mtime` in whole seconds since 1970. */
export interface FileStat {
  readonly size: number;
  readonly isDir: boolean;
  readonly mtime: number;
}

/**
 * One root that guests reach (ABI reference 2.1). Paths are the segments of a `GuestPath` of the mount's scheme. Every
 * call throws a Fault whose message names the guest's path and never a host path.
 *
 * `guard` is told where the path really leads, links followed, in the same walk that then acts there. Whoever grants
 * by path must check the grant in it, too: the asked path alone can be a link out of what was granted.
 */
export interface Mount {
  /** Trouble with the disk counts as "not there"; a path that leaves the root, or that the guard refuses, throws. */
  exists(segments: readonly string[], guard?: PathGuard): Promise<boolean>;
  stat(segments: readonly string[], guard?: PathGuard): Promise<FileStat>;
  /** Entry names, both layers merged, sorted by code unit. */
  readdir(segments: readonly string[], guard?: PathGuard): Promise<string[]>;
  /** Regular files up to `LIMITS.payloadBytesMax`; anything else is `too_large`, `is_a_directory`, `not_supported`. */
  readFile(segments: readonly string[], guard?: PathGuard): Promise<Buffer>;
  /** Creates or replaces, atomically. Missing parents are made in the workspace, and not in home and tmp. */
  writeFile(segments: readonly string[], content: Uint8Array, guard?: PathGuard): Promise<void>;
  /** Makes missing parents, too; an existing directory is fine, the root is `invalid_argument`. */
  mkdir(segments: readonly string[], guard?: PathGuard): Promise<void>;
  /** A file, a link (not what it leads to), or an empty directory. */
  unlink(segments: readonly string[], guard?: PathGuard): Promise<void>;
  /** Where the path leads when links are followed: what a prompt should show. */
  realPath(segments: readonly string[]): Promise<GuestPath>;
}
