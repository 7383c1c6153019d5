import { call, decodeJson, encodeJson } from './call.js';

/**
 * Commands on the host, in a sandbox of their own: the session's workspace read-write at its own path, the system's
 * programs read-only, a private /tmp, no network unless the operator grants it (`[process] network` in config.toml), no
 * environment but PATH, HOME, LANG and TERM. No shell is involved: `command` is a program's name (or several words
 * separated by spaces, or an absolute path), `args` are given to it as they are.
 *
 * `host_process` of the manifest names the commands by their first words: `git status` allows `git` with the arguments
 * `status …`. What a command writes is in the session's overlay when it has ended, and not before. Where the session itself
 * changed the same file meanwhile, the session's version stays and the log says so.
 *
 * Errors of all four: `capability_missing`, `policy_denied` (also during install and upgrade), `approval_denied`,
 * `approval_queued`, `invalid_argument`, `cancelled`.
 */
export interface ProcessOutput {
  /** Text; bytes that are no UTF-8 are U+FFFD. */
  readonly stdout: string;
  readonly stderr: string;
  /** -1 when a signal ended it; null while it runs or once it was reported. */
  readonly exitCode: number | null;
}

interface RawOutput {
  readonly stdout: string;
  readonly stderr: string;
  readonly exit_code: number | null;
}

const shape = (raw: RawOutput): ProcessOutput => ({ stdout: raw.stdout, stderr: raw.stderr, exitCode: raw.exit_code });

/**
 * Runs to the end. Of each stream at most 2 MiB: the first and the last, with a line between that says how much is missing.
 * Cancelled by the person: no output, exit code -1 and `process cancelled` on stderr. Throws `not_found` (no such program, or
 * no session), `tier_unavailable` (no sandbox on this machine), `not_supported` (a workspace that commands cannot be run in),
 * `too_large` (more than 128 KiB of arguments), `quota_exceeded` (it wrote more than may be stored; nothing of it is kept), `io_error`
 * (the machine refused).
 */
export function spawn(command: string, args: readonly string[] = []): ProcessOutput {
  return shape(decodeJson<RawOutput>(call('astrid_spawn_host', encodeJson({ cmd: command, args }))));
}

/**
 * Starts and returns an id, which is never given again; at most 8 at a time (`quota_exceeded`). It ends with the capsule.
 * Otherwise throws as `spawn`; a program that is not there shows as an exit code and a line on stderr.
 */
export function spawnBackground(command: string, args: readonly string[] = []): number {
  return decodeJson<{ id: number }>(call('astrid_spawn_background_host', encodeJson({ cmd: command, args }))).id;
}

/**
 * Output since the last read (1 MiB kept per stream, oldest lost) and whether it still runs. The exit code comes once.
 * Throws `bad_handle` for an id that is not this instance's.
 */
export function readOutput(id: number): ProcessOutput & { readonly running: boolean } {
  const raw = decodeJson<RawOutput & { running: boolean }>(call('astrid_read_process_logs_host', encodeJson({ id })));
  return { ...shape(raw), running: raw.running };
}

/** SIGKILL to all that it started; gives the rest of the output and forgets the id. Throws `bad_handle`. */
export function kill(id: number): ProcessOutput {
  return shape(decodeJson<RawOutput>(call('astrid_kill_process_host', encodeJson({ id }))));
}
