import {
  BUILD_CLOCK_MS,
  JS_EXCEPTION,
  JS_TAG,
  JS_TRUE,
  JS_UNDEFINED,
  LOAD_TURNS_MAX,
  NATIVE_OP,
} from './adaptor-layout.js';

const UNDEFINED = `(i64.const ${JS_UNDEFINED})`;
const EXCEPTION = `(i64.const ${JS_EXCEPTION})`;
const UINT8_ARRAY = 2;
const EBADF = 8;
const ENOSYS = 52;

/**
 * Copies between linear memory and Extism blocks, in words of 8 bytes: per byte it is eight times the imported calls.
 * `$to_block` answers 0 when there is no block to be had, which for zero bytes is not an error (ABI reference 1.1).
 */
export const BLOCK_FUNCTIONS = `
  (func $to_block (param $from i32) (param $bytes i32) (result i64)
    (local $block i64) (local $at i32) (local $words i32)
    (local.set $block (call $alloc (i64.extend_i32_u (local.get $bytes))))
    (if (i64.eqz (local.get $block)) (then (return (i64.const 0))))
    (local.set $words (i32.and (local.get $bytes) (i32.const -8)))
    (block $copied (loop $word
      (br_if $copied (i32.ge_u (local.get $at) (local.get $words)))
      (call $store_u64 (i64.add (local.get $block) (i64.extend_i32_u (local.get $at)))
        (i64.load align=1 (i32.add (local.get $from) (local.get $at))))
      (local.set $at (i32.add (local.get $at) (i32.const 8)))
      (br $word)))
    (block $done (loop $byte
      (br_if $done (i32.ge_u (local.get $at) (local.get $bytes)))
      (call $store_u8 (i64.add (local.get $block) (i64.extend_i32_u (local.get $at)))
        (i32.load8_u (i32.add (local.get $from) (local.get $at))))
      (local.set $at (i32.add (local.get $at) (i32.const 1)))
      (br $byte)))
    (local.get $block))

  ;; A Uint8Array of that many zero bytes, or the exception.
  (func $new_bytes (param $bytes i32) (result i64)
    (local $frame i32) (local $array i64)
    (local.set $frame (call $push))
    (i64.store (local.get $frame) (i64.extend_i32_u (local.get $bytes)))
    (i64.store offset=8 (local.get $frame) ${UNDEFINED})
    (i64.store offset=16 (local.get $frame) ${UNDEFINED})
    (local.set $array
      (call $JS_NewTypedArray (global.get $context) (i32.const 1) (local.get $frame) (i32.const ${UINT8_ARRAY})))
    (call $pop)
    (local.get $array))

  ;; Address of an array's bytes (0: an exception is pending); their number goes to the top of the frame.
  (func $bytes_of (param $frame i32) (param $array i64) (result i32)
    (call $JS_GetUint8Array (global.get $context) (local.get $frame) (local.get $array)))

  (func $from_block (param $block i64) (result i64)
    (local $array i64) (local $to i32) (local $at i32) (local $bytes i32) (local $words i32) (local $frame i32)
    (local.set $bytes (i32.wrap_i64 (call $length (local.get $block))))
    (local.set $array (call $new_bytes (local.get $bytes)))
    (if (i64.eq (local.get $array) ${EXCEPTION}) (then (return (local.get $array))))
    (local.set $frame (call $push))
    (local.set $to (call $bytes_of (local.get $frame) (local.get $array)))
    (call $pop)
    (local.set $words (i32.and (local.get $bytes) (i32.const -8)))
    (block $copied (loop $word
      (br_if $copied (i32.ge_u (local.get $at) (local.get $words)))
      (i64.store align=1 (i32.add (local.get $to) (local.get $at))
        (call $load_u64 (i64.add (local.get $block) (i64.extend_i32_u (local.get $at)))))
      (local.set $at (i32.add (local.get $at) (i32.const 8)))
      (br $word)))
    (block $done (loop $byte
      (br_if $done (i32.ge_u (local.get $at) (local.get $bytes)))
      (i32.store8 (i32.add (local.get $to) (local.get $at))
        (call $load_u8 (i64.add (local.get $block) (i64.extend_i32_u (local.get $at)))))
      (local.set $at (i32.add (local.get $at) (i32.const 1)))
      (br $byte)))
    (local.get $array))

  (func $from_input (result i64)
    (local $array i64) (local $to i32) (local $at i32) (local $bytes i32) (local $words i32) (local $frame i32)
    (local.set $bytes (i32.wrap_i64 (call $input_length)))
    (local.set $array (call $new_bytes (local.get $bytes)))
    (if (i64.eq (local.get $array) ${EXCEPTION}) (then (return (local.get $array))))
    (local.set $frame (call $push))
    (local.set $to (call $bytes_of (local.get $frame) (local.get $array)))
    (call $pop)
    (local.set $words (i32.and (local.get $bytes) (i32.const -8)))
    (block $copied (loop $word
      (br_if $copied (i32.ge_u (local.get $at) (local.get $words)))
      (i64.store align=1 (i32.add (local.get $to) (local.get $at))
        (call $input_load_u64 (i64.extend_i32_u (local.get $at))))
      (local.set $at (i32.add (local.get $at) (i32.const 8)))
      (br $word)))
    (block $done (loop $byte
      (br_if $done (i32.ge_u (local.get $at) (local.get $bytes)))
      (i32.store8 (i32.add (local.get $to) (local.get $at)) (call $input_load_u8 (i64.extend_i32_u (local.get $at))))
      (local.set $at (i32.add (local.get $at) (i32.const 1)))
      (br $byte)))
    (local.get $array))

  ;; 64 bytes on the shadow stack of QuickJS, for arguments and results that go through memory.
  (func $push (result i32)
    (global.set $sp (i32.sub (global.get $sp) (i32.const 64)))
    (global.get $sp))
  (func $pop (global.set $sp (i32.add (global.get $sp) (i32.const 64))))`;

/**
 * The one function that the guest's script can call natively. It answers `undefined` for what cannot be had while the
 * module is built; the script turns that into an error with words. Nothing is left allocated on any path: a run loop
 * never returns to a point where somebody else would clean up.
 */
export const NATIVE_FUNCTIONS = `
  (func $native (param $context i32) (param $this i64) (param $argc i32) (param $argv i32) (result i64)
    (local $op i32)
    (local.set $op (i32.wrap_i64 (i64.load (local.get $argv))))
    (local.set $argv (i32.add (local.get $argv) (i32.const 8)))
    (if (i32.eq (local.get $op) (i32.const ${NATIVE_OP.encodeUtf8}))
      (then (return (call $encode_utf8 (i64.load (local.get $argv))))))
    (if (i32.eq (local.get $op) (i32.const ${NATIVE_OP.decodeUtf8}))
      (then (return (call $decode_utf8 (i64.load (local.get $argv))))))
    (if (i32.eqz (global.get $live)) (then (return ${UNDEFINED})))
    (if (i32.eq (local.get $op) (i32.const ${NATIVE_OP.random}))
      (then (return (call $random_bytes (i32.wrap_i64 (i64.load (local.get $argv)))))))
    (if (i32.eq (local.get $op) (i32.const ${NATIVE_OP.sleep}))
      (then (return (call $sleep (i32.wrap_i64 (i64.load (local.get $argv)))))))
    (call $host_call (local.get $op) (i32.sub (local.get $argc) (i32.const 1)) (local.get $argv)))

  (func $encode_utf8 (param $text i64) (result i64)
    (local $frame i32) (local $bytes i32) (local $array i64)
    (local.set $frame (call $push))
    (local.set $bytes
      (call $JS_ToCStringLen2 (global.get $context) (local.get $frame) (local.get $text) (i32.const 0)))
    (if (i32.eqz (local.get $bytes))
      (then (local.set $array ${EXCEPTION}))
      (else
        (local.set $array
          (call $JS_NewUint8ArrayCopy (global.get $context) (local.get $bytes) (i32.load (local.get $frame))))
        (call $JS_FreeCString (global.get $context) (local.get $bytes))))
    (call $pop)
    (local.get $array))

  (func $decode_utf8 (param $array i64) (result i64)
    (local $frame i32) (local $bytes i32) (local $text i64)
    (local.set $frame (call $push))
    (local.set $bytes (call $bytes_of (local.get $frame) (local.get $array)))
    (local.set $text ${EXCEPTION})
    (if (local.get $bytes)
      (then (local.set $text
        (call $JS_NewStringLen (global.get $context) (local.get $bytes) (i32.load (local.get $frame))))))
    (call $pop)
    (local.get $text))

  (func $random_bytes (param $count i32) (result i64)
    (local $frame i32) (local $array i64)
    (local.set $array (call $new_bytes (local.get $count)))
    (if (i64.eq (local.get $array) ${EXCEPTION}) (then (return (local.get $array))))
    (local.set $frame (call $push))
    ;; A host without randomness ends the call: zero bytes that look random are worse than none.
    (if (call $host_random (call $bytes_of (local.get $frame) (local.get $array)) (local.get $count))
      (then (unreachable)))
    (call $pop)
    (local.get $array))

  ;; WASI's sleep: one subscription of 48 bytes to the monotonic clock, relative, in nanoseconds. Answers true: it slept.
  (func $sleep (param $ms i32) (result i64)
    (local $request i32) (local $event i32)
    (local.set $request (call $push))
    (local.set $event (call $push))
    (memory.fill (local.get $request) (i32.const 0) (i32.const 64))
    (i32.store offset=16 (local.get $request) (i32.const 1))
    (i64.store offset=24 (local.get $request)
      (i64.mul (i64.extend_i32_u (local.get $ms)) (i64.const 1000000)))
    (if (call $host_poll (local.get $request) (local.get $event) (i32.const 1)
      (i32.add (local.get $event) (i32.const 32))) (then (unreachable)))
    (call $pop)
    (call $pop)
    (i64.const ${JS_TRUE}))

  (func $host_call (param $slot i32) (param $count i32) (param $argv i32) (result i64)
    (local $frame i32) (local $index i32) (local $from i32) (local $block i64) (local $result i64) (local $value i64)
    (local.set $frame (call $push))
    (i64.store offset=8 (local.get $frame) (i64.const 0))
    (i64.store offset=16 (local.get $frame) (i64.const 0))
    (i64.store offset=24 (local.get $frame) (i64.const 0))
    (local.set $value ${EXCEPTION})
    (block $failed
      (block $copied (loop $argument
        (br_if $copied (i32.ge_u (local.get $index) (local.get $count)))
        (local.set $from (call $bytes_of (local.get $frame)
          (i64.load (i32.add (local.get $argv) (i32.shl (local.get $index) (i32.const 3))))))
        (br_if $failed (i32.eqz (local.get $from)))
        (local.set $block (call $to_block (local.get $from) (i32.load (local.get $frame))))
        (if (i32.and (i64.eqz (local.get $block)) (i32.ne (i32.load (local.get $frame)) (i32.const 0)))
          (then
            (drop (call $JS_ThrowOutOfMemory (global.get $context)))
            (br $failed)))
        (i64.store offset=8 (i32.add (local.get $frame) (i32.shl (local.get $index) (i32.const 3)))
          (local.get $block))
        (local.set $index (i32.add (local.get $index) (i32.const 1)))
        (br $argument)))
      (local.set $result (call $dispatch (local.get $slot) (i64.load offset=8 (local.get $frame))
        (i64.load offset=16 (local.get $frame)) (i64.load offset=24 (local.get $frame))))
      ;; The result is read before the arguments are freed: a host may reuse what it was given back.
      (local.set $value (call $from_block (local.get $result)))
      (call $give_back (local.get $result)))
    (call $give_back (i64.load offset=8 (local.get $frame)))
    (call $give_back (i64.load offset=16 (local.get $frame)))
    (call $give_back (i64.load offset=24 (local.get $frame)))
    (call $pop)
    (local.get $value))

  (func $give_back (param $block i64)
    (if (i64.ne (local.get $block) (i64.const 0)) (then (call $free (local.get $block)))))

  ;; Replaced when a capsule is built: one call per linked host call (see link.ts).
  (func $dispatch (param $slot i32) (param $a i64) (param $b i64) (param $c i64) (result i64) (unreachable))`;

/** What QuickJS imports. Before the module is live nothing outside may be called, so these answer fixed values. */
export const ENGINE_CALLBACKS = `
  (func (export "clock_time_get") (param $clock i32) (param $precision i64) (param $to i32) (result i32)
    (i64.store (local.get $to) (i64.mul (call $now_ms) (i64.const 1000000)))
    (i32.const 0))

  (func $now_ms (result i64)
    (local $block i64) (local $bytes i64) (local $at i64) (local $ms i64)
    (if (i32.eqz (global.get $live)) (then (return (i64.const ${BUILD_CLOCK_MS}))))
    (local.set $block (call $clock_ms))
    (local.set $bytes (call $length (local.get $block)))
    (local.set $at (i64.const 1))
    (if (i64.ne (local.get $bytes) (i64.const 0)) (then
      (if (i32.eqz (call $load_u8 (local.get $block))) (then
        (block $read (loop $digit
          (br_if $read (i64.ge_u (local.get $at) (local.get $bytes)))
          (local.set $ms (i64.add (i64.mul (local.get $ms) (i64.const 10))
            (i64.extend_i32_u (i32.sub
              (call $load_u8 (i64.add (local.get $block) (local.get $at))) (i32.const 48)))))
          (local.set $at (i64.add (local.get $at) (i64.const 1)))
          (br $digit)))))))
    (call $give_back (local.get $block))
    (local.get $ms))

  (func (export "random_get") (param $to i32) (param $count i32) (result i32)
    (if (i32.eqz (global.get $live)) (then (return (i32.const ${ENOSYS}))))
    (call $host_random (local.get $to) (local.get $count)))

  (func (export "host_promise_rejection") (param $promise i32) (param $reason i32) (param $handled i32)
    (local $frame i32) (local $result i64)
    (local.set $frame (call $push))
    (i64.store (local.get $frame) (i64.load (local.get $promise)))
    (i64.store offset=8 (local.get $frame) (i64.load (local.get $reason)))
    (i64.store offset=16 (local.get $frame)
      (i64.or (i64.const ${BigInt(JS_TAG.bool) << 32n}) (i64.extend_i32_u (i32.ne (local.get $handled) (i32.const 0)))))
    (local.set $result
      (call $JS_Call (global.get $context) (global.get $on_rejection) ${UNDEFINED} (i32.const 3) (local.get $frame)))
    (call $discard (local.get $result))
    (call $pop)
    (call $free_handle (local.get $promise))
    (call $free_handle (local.get $reason)))

  ;; Only while loading: an endless loop at top level would hang the build.
  (func (export "host_interrupt") (result i32)
    (global.set $turns (i32.add (global.get $turns) (i32.const 1)))
    (i32.gt_u (global.get $turns) (i32.const ${LOAD_TURNS_MAX})))

  ;; UTC: a capsule has no place.
  (func (export "host_get_timezone_offset") (param i32 i32) (result i32) (i32.const 0))
  ;; Bound to handles and to module loading, neither of which the adaptor uses.
  (func (export "host_call") (param i32 i32 i32 i32 i32) (result i32) (unreachable))
  (func (export "host_module_normalize") (param i32 i32) (result i32) (unreachable))
  (func (export "host_module_load") (param i32 i32) (result i32) (unreachable))
  (func (export "fd_close") (param i32) (result i32) (i32.const ${EBADF}))
  (func (export "fd_fdstat_get") (param i32 i32) (result i32) (i32.const ${EBADF}))
  (func (export "fd_seek") (param i32 i64 i32 i32) (result i32) (i32.const ${EBADF}))
  (func (export "fd_write") (param i32 i32 i32 i32) (result i32) (i32.const ${EBADF}))`;
