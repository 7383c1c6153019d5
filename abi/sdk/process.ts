import { call, decodeJson, encodeJson } from './call.js';

/**
 * Commands on the host, in a sandbox: the workspace read-write, the rest read-only, a private /tmp. `host_process` of
 * the manifest names the commands; `policy_denied`, `approval_denied` and `approval_queued` as for files.
 * Not served by version 0.1: a capsule that uses this does not load there.
 */
export interface ProcessOutput {
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

/** Runs to the end. Cancelled by the person: exit code -1 and `process cancelled` on stderr. */
export function spawn(command: string, args: readonly string[] = []): ProcessOutput {
  return shape(decodeJson<RawOutput>(call('astrid_spawn_host', encodeJson({ cmd: command, args }))));
}

/** Starts and returns an id; at most 8 at a time (`quota_exceeded`). */
export function spawnBackground(command: string, args: readonly string[] = []): number {
  return decodeJson<{ id: number }>(call('astrid_spawn_background_host', encodeJson({ cmd: command, args }))).id;
}

/** Output since the last read (1 MiB kept per stream, oldest lost) and whether it still runs. */
export function readOutput(id: number): ProcessOutput & { readonly running: boolean } {
  const raw = decodeJson<RawOutput & { running: boolean }>(call('astrid_read_process_logs_host', encodeJson({ id })));
  return { ...shape(raw), running: raw.running };
}

/** SIGKILL to the whole group; gives the rest of the output. */
export function kill(id: number): ProcessOutput {
  return shape(decodeJson<RawOutput>(call('astrid_kill_process_host', encodeJson({ id }))));
}
