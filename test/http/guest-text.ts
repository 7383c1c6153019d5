/** A text as the data of a guest. */
export const quoteData = (text: string) => text.replace(/[\\"]/g, (mark) => `\\${mark === '"' ? '22' : '5c'}`);

/** A body's line: the call with the text at `address`, its answer written to the log as it came. */
export function callAndLog(call: string, address: number, text: string): string {
  const answer = `(call $tell (call $${call} (call $block (i32.const ${address}) (i32.const ${Buffer.byteLength(text)}))))`;
  return `(drop (call $astrid_log (call $block (i32.const 16) (i32.const 4)) ${answer}))`;
}

/** A result is gone at the next call, so it is copied first: all behind the status byte. */
export const TELL = `(func $tell (param $from i64) (result i64) (local $to i64) (local $i i64) (local $n i64)
  (local.set $n (i64.sub (call $length (local.get $from)) (i64.const 1)))
  (local.set $to (call $alloc (local.get $n)))
  (block $end (loop $next
    (br_if $end (i64.ge_u (local.get $i) (local.get $n)))
    (call $store_u8 (i64.add (local.get $to) (local.get $i))
      (call $load_u8 (i64.add (local.get $from) (i64.add (local.get $i) (i64.const 1)))))
    (local.set $i (i64.add (local.get $i) (i64.const 1)))
    (br $next)))
  (local.get $to))`;

export const HTTP_CALLS = {
  astrid_http_request: { params: 1, result: true },
  astrid_http_stream_start: { params: 1, result: true },
  astrid_http_stream_read: { params: 1, result: true },
  astrid_http_stream_close: { params: 1, result: true },
} as const;
