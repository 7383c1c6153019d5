/**
 * The part of the Extism kernel that a guest calls once per 8 bytes, as a WebAssembly module of its own: guest to
 * kernel is then a call inside the engine instead of a trip through JavaScript with a BigInt each way. Offsets carry a
 * serial number in their upper 32 bits (see guest-blocks.ts), so an access wraps to the lower ones. An access past the
 * memory traps the guest, which is what the original does.
 */
export const GUEST_MEMORY_WAT = `(module
  (memory (export "memory") 1 65536)
  (global $input (export "input") (mut i32) (i32.const 0))
  (global $input_length (export "input_length") (mut i32) (i32.const 0))
  (func (export "load_u8") (param $at i64) (result i32)
    (i32.load8_u (i32.wrap_i64 (local.get $at))))
  (func (export "load_u64") (param $at i64) (result i64)
    (i64.load (i32.wrap_i64 (local.get $at))))
  (func (export "store_u8") (param $at i64) (param $value i32)
    (i32.store8 (i32.wrap_i64 (local.get $at)) (local.get $value)))
  (func (export "store_u64") (param $at i64) (param $value i64)
    (i64.store (i32.wrap_i64 (local.get $at)) (local.get $value)))
  (func (export "input_load_u8") (param $at i64) (result i32)
    (if (i64.ge_u (local.get $at) (i64.extend_i32_u (global.get $input_length))) (then (return (i32.const 0))))
    (i32.load8_u (i32.add (global.get $input) (i32.wrap_i64 (local.get $at)))))
  (func (export "input_load_u64") (param $at i64) (result i64)
    (if (i64.gt_u (i64.add (local.get $at) (i64.const 8)) (i64.extend_i32_u (global.get $input_length)))
      (then (return (i64.const 0))))
    (if (i64.lt_s (local.get $at) (i64.const 0)) (then (return (i64.const 0))))
    (i64.load (i32.add (global.get $input) (i32.wrap_i64 (local.get $at))))))`;

/** The module above as bytes: a worker has no assembler. A test assembles the text and compares. */
export const GUEST_MEMORY_WASM =
  'AGFzbQEAAAABFQRgAX4Bf2ABfgF+YAJ+fwBgAn5+AAMHBgABAgMAAQUGAQEBgIAEBgsCfwFBAAt/AUEACwduCQZtZW1vcnkCAAVpbnB1dAMADGlucHV0X2xlbmd0aAMBB2xvYWRfdTgAAAhsb2FkX3U2NAABCHN0b3JlX3U4AAIJc3RvcmVfdTY0AAMNaW5wdXRfbG9hZF91OAAEDmlucHV0X2xvYWRfdTY0AAUKZwYIACAApy0AAAsIACAApykDAAsKACAApyABOgAACwoAIACnIAE3AwALFwAgACMBrVoEQEEADwsjACAAp2otAAALJQAgAEIIfCMBrVYEQEIADwsgAEIAUwRAQgAPCyMAIACnaikDAAs=';
