/** What the adaptor takes from QuickJS, under the names that the package `quickjs-wasi` exports. */
export const QUICKJS_IMPORTS = `
  (import "qjs" "memory" (memory 1))
  (import "qjs" "__indirect_function_table" (table $table 1 funcref))
  (import "qjs" "__stack_pointer" (global $sp (mut i32)))
  (import "qjs" "qjs_init" (func $qjs_init (result i32)))
  (import "qjs" "qjs_get_runtime_ptr" (func $runtime_ptr (result i32)))
  (import "qjs" "qjs_get_context_ptr" (func $context_ptr (result i32)))
  (import "qjs" "qjs_set_memory_limit" (func $set_memory_limit (param i32)))
  (import "qjs" "qjs_set_max_stack_size" (func $set_stack_limit (param i32)))
  (import "qjs" "qjs_set_promise_rejection_handler" (func $track_rejections (param i32)))
  (import "qjs" "qjs_set_interrupt_handler" (func $track_turns (param i32)))
  (import "qjs" "qjs_free_value" (func $free_handle (param i32)))
  (import "qjs" "wasm_malloc" (func $malloc (param i32) (result i32)))
  (import "qjs" "wasm_free" (func $mfree (param i32)))
  (import "qjs" "JS_Eval" (func $JS_Eval (param i32 i32 i32 i32 i32) (result i64)))
  (import "qjs" "JS_Call" (func $JS_Call (param i32 i64 i64 i32 i32) (result i64)))
  (import "qjs" "JS_FreeValue" (func $JS_FreeValue (param i32 i64)))
  (import "qjs" "JS_NewCFunction2" (func $JS_NewCFunction2 (param i32 i32 i32 i32 i32 i32) (result i64)))
  (import "qjs" "JS_GetPropertyUint32" (func $JS_GetPropertyUint32 (param i32 i64 i32) (result i64)))
  (import "qjs" "JS_GetException" (func $JS_GetException (param i32) (result i64)))
  (import "qjs" "JS_ThrowOutOfMemory" (func $JS_ThrowOutOfMemory (param i32) (result i64)))
  (import "qjs" "JS_ToCStringLen2" (func $JS_ToCStringLen2 (param i32 i32 i64 i32) (result i32)))
  (import "qjs" "JS_FreeCString" (func $JS_FreeCString (param i32 i32)))
  (import "qjs" "JS_NewStringLen" (func $JS_NewStringLen (param i32 i32 i32) (result i64)))
  (import "qjs" "JS_NewUint8ArrayCopy" (func $JS_NewUint8ArrayCopy (param i32 i32 i32) (result i64)))
  (import "qjs" "JS_NewTypedArray" (func $JS_NewTypedArray (param i32 i32 i32 i32) (result i64)))
  (import "qjs" "JS_GetUint8Array" (func $JS_GetUint8Array (param i32 i32 i64) (result i32)))
  (import "qjs" "JS_ExecutePendingJob" (func $JS_ExecutePendingJob (param i32 i32) (result i32)))
  (import "qjs" "JS_RunGC" (func $JS_RunGC (param i32)))`;

/**
 * What stays an import of every finished module: the Extism kernel, the two host calls that are always linked, and
 * randomness and sleep, which no host call gives.
 */
export const HOST_IMPORTS = `
  (import "extism:host/user" "astrid_clock_ms" (func $clock_ms (result i64)))
  (import "extism:host/env" "alloc" (func $alloc (param i64) (result i64)))
  (import "extism:host/env" "free" (func $free (param i64)))
  (import "extism:host/env" "length" (func $length (param i64) (result i64)))
  (import "extism:host/env" "load_u8" (func $load_u8 (param i64) (result i32)))
  (import "extism:host/env" "load_u64" (func $load_u64 (param i64) (result i64)))
  (import "extism:host/env" "store_u8" (func $store_u8 (param i64 i32)))
  (import "extism:host/env" "store_u64" (func $store_u64 (param i64 i64)))
  (import "extism:host/env" "input_length" (func $input_length (result i64)))
  (import "extism:host/env" "input_load_u8" (func $input_load_u8 (param i64) (result i32)))
  (import "extism:host/env" "input_load_u64" (func $input_load_u64 (param i64) (result i64)))
  (import "extism:host/env" "output_set" (func $output_set (param i64 i64)))
  (import "extism:host/env" "error_set" (func $error_set (param i64)))
  (import "wasi_snapshot_preview1" "random_get" (func $host_random (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $host_poll (param i32 i32 i32 i32) (result i32)))`;
