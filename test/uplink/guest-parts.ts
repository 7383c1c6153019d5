import type { GuestOptions } from '../kit/guests.js';

/** Calls of these guests, by number of parameters; all of generation 3. */
export const NET_CALLS = {
  astrid_net_bind_unix: { params: 1, result: true },
  astrid_net_accept: { params: 1, result: true },
  astrid_net_poll_accept: { params: 1, result: true },
  astrid_net_read: { params: 1, result: true },
  astrid_net_write: { params: 2, result: true },
  astrid_net_close_stream: { params: 1, result: true },
  astrid_signal_ready: { params: 0, result: true },
} as const satisfies GuestOptions['calls'];

/**
 * `$keep block at`: copies a result into linear memory, where it outlives the next host call; gives its length.
 * `$copy from to bytes`; `$say at bytes`: a log line.
 */
export const MORE = `
  (func $keep (param $from i64) (param $at i32) (result i32) (local $i i32) (local $n i32)
    (local.set $n (i32.wrap_i64 (call $length (local.get $from))))
    (block $end (loop $next
      (br_if $end (i32.ge_u (local.get $i) (local.get $n)))
      (i32.store8 (i32.add (local.get $at) (local.get $i))
        (call $load_u8 (i64.add (local.get $from) (i64.extend_i32_u (local.get $i)))))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br $next)))
    (local.get $n))
  (func $copy (param $from i32) (param $to i32) (param $n i32) (local $i i32)
    (block $end (loop $next
      (br_if $end (i32.ge_u (local.get $i) (local.get $n)))
      (i32.store8 (i32.add (local.get $to) (local.get $i)) (i32.load8_u (i32.add (local.get $from) (local.get $i))))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br $next))))
  (func $say (param $at i32) (param $n i32)
    (drop (call $astrid_log (call $block (i32.const 16) (i32.const 4)) (call $block (local.get $at) (local.get $n)))))`;

/** Calls with one block made from memory, keeps the reply at `to`, and says it: status byte and all. */
export function callAndSay(name: string, at: number, bytes: number, to: number): string {
  return `(local.set $j (call $keep (call $${name} (call $block (i32.const ${at}) (i32.const ${bytes}))) (i32.const ${to})))
    (call $say (i32.const ${to}) (local.get $j))`;
}

/** Text as the data of a WAT module. */
export const watText = (text: string) => text.replaceAll('\\', '\\\\').replaceAll('"', '\\"');
