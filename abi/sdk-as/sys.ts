import { astrid_clock_ms, astrid_get_caller, astrid_get_config, astrid_get_interceptor_handles, astrid_log, astrid_signal_ready } from "./calls";
import { Json } from "./json";
import { Arguments, Nothing, Result } from "./result";

/** UTF-8 needs at most 3 bytes per UTF-16 unit, so this always fits the 64 KiB of a line. */
const MESSAGE_CHARS_MAX = 21000;

/** A line in the capsule's log: trace, debug, info, warn, error. Longer ones are cut; a log line never fails. */
export function log(level: string, message: string): void {
  const a = new Arguments();
  const cut = message.length > MESSAGE_CHARS_MAX ? message.substring(0, MESSAGE_CHARS_MAX) + " […]" : message;
  a.reply(astrid_log(a.text(level), a.text(cut)));
}

/** Milliseconds since the epoch, by the kernel's clock. */
export function now(): u64 {
  const a = new Arguments();
  return U64.parseInt(a.reply(astrid_clock_ms()).text().unwrap());
}

/** A value of `[env]`; empty when there is none. The key has at most 4 KiB. */
export function config(key: string): Result<string> {
  const a = new Arguments();
  return a.reply(astrid_get_config(a.text(key))).text();
}

/** `principal`, `source_id`, `timestamp`, and `session_id` in a conversation; empty outside of a call that a message caused. */
export function caller(): Result<Json> {
  const a = new Arguments();
  return a.reply(astrid_get_caller()).json();
}

/** Tells the kernel that the run loop takes messages. */
export function signalReady(): Result<Nothing> {
  const a = new Arguments();
  return a.reply(astrid_signal_ready()).nothing();
}

/** A list of `handle_id`, `action`, `topic`: the subscriptions made for a run loop's interceptors. */
export function interceptorHandles(): Result<Json> {
  const a = new Arguments();
  return a.reply(astrid_get_interceptor_handles()).json();
}
