import { astrid_fs_exists, astrid_fs_mkdir, astrid_fs_readdir, astrid_fs_stat, astrid_fs_unlink, astrid_read_file, astrid_write_file } from "./calls";
import { Arguments, Nothing, Result } from "./result";

// Files. `cwd://rest` is the workspace, `home://rest` the principal's home, `tmp://rest` the directory `.local/tmp` in it, behind
// `fs_read` and `fs_write`. A path has at most 4,096 bytes. Codes: capability_missing, policy_denied, not_found, io_error,
// escapes_root.

/** Size in bytes; time of change in milliseconds since the epoch. */
export class FileStat {
  constructor(readonly size: f64, readonly isDirectory: bool, readonly mtimeMs: f64) {}
}

/** The whole file, at most 10 MiB (`too_large`). */
export function readFile(path: string): Result<Uint8Array> {
  const a = new Arguments();
  return a.reply(astrid_read_file(a.text(path))).data();
}

/** Creates or truncates; at most 10 MiB. May wait for a person: `approval_denied`, `approval_queued`. */
export function writeFile(path: string, content: Uint8Array): Result<Nothing> {
  const a = new Arguments();
  return a.reply(astrid_write_file(a.text(path), a.bytes(content))).nothing();
}

/** Names, in no order. */
export function readdir(path: string): Result<string[]> {
  const a = new Arguments();
  const reply = a.reply(astrid_fs_readdir(a.text(path))).json();
  const error = reply.error;
  return error === null ? Result.of<string[]>(reply.value.texts()) : Result.failed<string[]>(error);
}

export function stat(path: string): Result<FileStat> {
  const a = new Arguments();
  const reply = a.reply(astrid_fs_stat(a.text(path))).json();
  const error = reply.error;
  if (error !== null) return Result.failed<FileStat>(error);
  const value = reply.value;
  return Result.of<FileStat>(new FileStat(value.num("size"), value.bool("isDir"), value.num("mtime") * 1000));
}

/** Makes missing parents, too. */
export function mkdir(path: string): Result<Nothing> {
  const a = new Arguments();
  return a.reply(astrid_fs_mkdir(a.text(path))).nothing();
}

/** A file or an empty directory (`not_empty`). */
export function unlink(path: string): Result<Nothing> {
  const a = new Arguments();
  return a.reply(astrid_fs_unlink(a.text(path))).nothing();
}

export function exists(path: string): Result<bool> {
  const a = new Arguments();
  const reply = a.reply(astrid_fs_exists(a.text(path)));
  const error = reply.error;
  return error === null ? Result.of<bool>(reply.bytes.length > 0) : Result.failed<bool>(error);
}
