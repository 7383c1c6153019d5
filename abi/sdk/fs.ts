import { call, decodeJson, decodeText, encodeBytes, encodeText } from './call.js';

/**
 * Files. Paths: `cwd://rest` is the workspace, `home://rest` the principal's home, `tmp://rest` the directory `.local/tmp` in it,
 * all behind the manifest's `fs_read` and `fs_write`. At most 4,096 bytes; a path that leaves its root fails with `escapes_root`.
 * Workspace writes land in the session's overlay and reach the real directory only by `astrid commit`.
 *
 * Every call throws SystemError: `capability_missing`, `policy_denied`, `not_found`, `io_error`, `invalid_argument` (no path, or one
 * through too many links), `too_large` (a path), `not_a_directory` (the path goes through a file), `not_supported` (a device, a pipe,
 * a socket, or what this machine cannot serve), and what is named below.
 */
export interface FileStat {
  /** Bytes; 0 for directories. */
  readonly size: number;
  readonly isDirectory: boolean;
  /** Milliseconds since the epoch, whole seconds; 0 when unknown. */
  readonly mtimeMs: number;
}

/** The whole file, at most 10 MiB (`too_large`). Also `is_a_directory`. */
export function readFile(path: string): Uint8Array {
  return call('astrid_read_file', encodeText(path));
}

/** The whole file as UTF-8; malformed bytes become U+FFFD. Errors as `readFile`. */
export function readTextFile(path: string): string {
  return decodeText(readFile(path));
}

/**
 * Creates or truncates. At most 10 MiB. May wait for a person's approval: `approval_denied`, or `approval_queued` when
 * nobody is there (the same call succeeds after they answered). Also `is_a_directory`, `no_space`,
 * `quota_exceeded`, `over_budget`.
 */
export function writeFile(path: string, content: string | Uint8Array): void {
  call('astrid_write_file', encodeText(path), encodeBytes(content));
}

/** Names in a directory, in no particular order. `not_a_directory` for a file. */
export function readdir(path: string): string[] {
  return decodeJson<string[]>(call('astrid_fs_readdir', encodeText(path)));
}

export function stat(path: string): FileStat {
  const raw = decodeJson<{ size: number; isDir: boolean; mtime: number }>(call('astrid_fs_stat', encodeText(path)));
  return { size: raw.size, isDirectory: raw.isDir, mtimeMs: raw.mtime * 1000 };
}

/**
 * Makes the directory and its missing parents; one that is there already is fine, a file there is `already_exists`. Approval,
 * `no_space` and `quota_exceeded` as `writeFile`.
 */
export function mkdir(path: string): void {
  call('astrid_fs_mkdir', encodeText(path));
}

/** Removes a file or an empty directory (`not_empty`). Approval, `no_space` and `quota_exceeded` as `writeFile`. */
export function unlink(path: string): void {
  call('astrid_fs_unlink', encodeText(path));
}

/** False also when the path cannot be looked at for an I/O reason; a missing permission still throws. */
export function exists(path: string): boolean {
  return call('astrid_fs_exists', encodeText(path)).length > 0;
}
