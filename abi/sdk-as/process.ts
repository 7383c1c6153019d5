import { astrid_kill_process_host, astrid_read_process_logs_host, astrid_spawn_background_host, astrid_spawn_host } from "./calls";
import { Json } from "./json";
import { Arguments, Result } from "./result";

// Commands in a sandbox; `host_process` of the manifest names them.

function command(name: string, args: string[]): string {
  const list = Json.list();
  for (let at = 0; at < args.length; at++) list.push(Json.ofText(args[at]));
  return Json.object().setText("cmd", name).set("args", list).toString();
}

function byId(id: f64): string {
  return Json.object().setNumber("id", id).toString();
}

/** Runs to the end: `stdout`, `stderr`, `exit_code` (-1 when a signal ended it). */
export function spawn(name: string, args: string[]): Result<Json> {
  const a = new Arguments();
  return a.reply(astrid_spawn_host(a.text(command(name, args)))).json();
}

/** `id`. At most 8 at a time (`quota_exceeded`). */
export function spawnBackground(name: string, args: string[]): Result<Json> {
  const a = new Arguments();
  return a.reply(astrid_spawn_background_host(a.text(command(name, args)))).json();
}

/** `stdout` and `stderr` since the last read (1 MiB kept of each), `running`, `exit_code`. */
export function readOutput(id: f64): Result<Json> {
  const a = new Arguments();
  return a.reply(astrid_read_process_logs_host(a.text(byId(id)))).json();
}

/** SIGKILL to the group; the rest of the output. */
export function kill(id: f64): Result<Json> {
  const a = new Arguments();
  return a.reply(astrid_kill_process_host(a.text(byId(id)))).json();
}
