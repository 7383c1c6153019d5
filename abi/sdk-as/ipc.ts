import { astrid_ipc_poll, astrid_ipc_publish, astrid_ipc_recv, astrid_ipc_subscribe, astrid_ipc_unsubscribe, astrid_trigger_hook } from "./calls";
import { Json } from "./json";
import { Arguments, Nothing, Result } from "./result";

// The bus. Topics: at most 8 segments and 256 bytes; `[publish]` and `[subscribe]` of the manifest say what is allowed.
// Envelopes are JSON: `messages` (topic, payload, source_id, timestamp, seq), `dropped`, `lagged`.

/** A JSON value of at most 5 MiB; 10 MiB per second (`rate_limited`). */
export function publish(topic: string, payload: Json): Result<Nothing> {
  const a = new Arguments();
  return a.reply(astrid_ipc_publish(a.text(topic), a.text(payload.toString()))).nothing();
}

/** A handle, for messages published from now on. At most 128 at a time (`quota_exceeded`). */
export function subscribe(pattern: string): Result<u64> {
  const a = new Arguments();
  const reply = a.reply(astrid_ipc_subscribe(a.text(pattern))).text();
  const error = reply.error;
  return error === null ? Result.of<u64>(U64.parseInt(reply.value)) : Result.failed<u64>(error);
}

export function unsubscribe(handle: u64): Result<Nothing> {
  const a = new Arguments();
  return a.reply(astrid_ipc_unsubscribe(a.decimal(handle))).nothing();
}

/** Everything queued now. */
export function poll(handle: u64): Result<Json> {
  const a = new Arguments();
  return a.reply(astrid_ipc_poll(a.decimal(handle))).json();
}

/** Waits at most so long (the kernel clamps to 60,000 ms); running out of time is an envelope without messages. */
export function recv(handle: u64, timeoutMs: u64): Result<Json> {
  const a = new Arguments();
  return a.reply(astrid_ipc_recv(a.decimal(handle), a.decimal(timeoutMs))).json();
}

/** Calls the interceptors of other capsules and gives a list of their answers. At most 1 MiB. */
export function triggerHook(topic: string, payload: Json): Result<Json> {
  const a = new Arguments();
  const body = Json.object().setText("hook", topic).set("payload", payload);
  return a.reply(astrid_trigger_hook(a.text(body.toString()))).json();
}
