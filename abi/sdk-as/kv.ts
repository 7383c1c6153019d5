import { astrid_kv_clear_prefix, astrid_kv_delete, astrid_kv_get, astrid_kv_list_keys, astrid_kv_set } from "./calls";
import { Arguments, Nothing, Result } from "./result";

// Durable values of this capsule, one namespace per principal. Keys: not empty, no NUL, at most 4 KiB; a value at most
// 1 MiB (`too_large`). Committed when the call returns.

/** The value; zero bytes when there is none (ABI reference 1.4: the two cannot be told apart). */
export function get(key: string): Result<Uint8Array> {
  const a = new Arguments();
  return a.reply(astrid_kv_get(a.text(key))).data();
}

export function set(key: string, value: Uint8Array): Result<Nothing> {
  const a = new Arguments();
  return a.reply(astrid_kv_set(a.text(key), a.bytes(value))).nothing();
}

/** Removing what is not there is fine. */
export function remove(key: string): Result<Nothing> {
  const a = new Arguments();
  return a.reply(astrid_kv_delete(a.text(key))).nothing();
}

export function list(prefix: string): Result<string[]> {
  const a = new Arguments();
  const reply = a.reply(astrid_kv_list_keys(a.text(prefix))).json();
  const error = reply.error;
  return error === null ? Result.of<string[]>(reply.value.texts()) : Result.failed<string[]>(error);
}

/** How many were removed. */
export function clear(prefix: string): Result<f64> {
  const a = new Arguments();
  const reply = a.reply(astrid_kv_clear_prefix(a.text(prefix))).json();
  const error = reply.error;
  return error === null ? Result.of<f64>(reply.value.number) : Result.failed<f64>(error);
}
