import {
  BUILD_CLOCK_MS,
  JS_EXCEPTION,
  JS_TAG,
  JS_TRUE,
  JS_UNDEFINED,
  LOAD_TURNS_MAX,
  SCRIPT_ENTRY_POINTS,
  SEGMENT,
  TEMPLATE_EXPORT,
} from './adaptor-layout.js';

const UNDEFINED = `(i64.const ${JS_UNDEFINED})`;
const EXCEPTION = `(i64.const ${JS_EXCEPTION})`;
/** JSContext is this large in the pinned build of QuickJS; `Math.random` keeps its state in one aligned word of it. */
const CONTEXT_BYTES = 320;

/** The guest script's functions, as numbered in the array that it returns (guest-script.ts). */
const HANDLERS = ['enter', 'finish', 'on_rejection', 'on_load_error', 'describe_load'] as const;

/** The state of QuickJS's xorshift64* generator after its first number. */
function drawOnce(seed: bigint): bigint {
  let state = seed ^ (seed >> 12n);
  state = BigInt.asUintN(64, state ^ (state << 25n));
  return state ^ (state >> 27n);
}

/**
 * Runs once while the module is built. The state it leaves in memory and globals is what every instance starts from, so
 * nothing here may depend on anything but the segment.
 */
export const LOAD_FUNCTIONS = `
  (func $load (export "${TEMPLATE_EXPORT.load}") (result i32)
    (local $head i32) (local $bytes i32) (local $at i32) (local $guest_bytes i32) (local $value i64) (local $failed i32)
    (local.set $head (call $malloc (i32.const ${SEGMENT.headerBytes})))
    (call $fill (local.get $head) (i32.const ${SEGMENT.headerBytes}))
    (local.set $bytes (i32.load (local.get $head)))
    (local.set $at (call $malloc (local.get $bytes)))
    (if (i32.eqz (local.get $at)) (then (unreachable)))
    (call $fill (local.get $at) (local.get $bytes))
    (call $mfree (local.get $head))
    (if (call $qjs_init) (then (unreachable)))
    (global.set $runtime (call $runtime_ptr))
    (global.set $context (call $context_ptr))
    (call $find_random_state)
    (local.set $guest_bytes (i32.load offset=12 (local.get $at)))
    (call $start_guest (local.get $at) (local.get $guest_bytes))
    (call $set_memory_limit (i32.load offset=4 (local.get $at)))
    (call $set_stack_limit (i32.load offset=8 (local.get $at)))
    (call $track_rejections (i32.const 1))
    (call $track_turns (i32.const 1))
    (local.set $value (call $JS_Eval (global.get $context)
      (i32.add (i32.add (local.get $at) (i32.const ${SEGMENT.guestAt + 1})) (local.get $guest_bytes))
      (i32.load offset=16 (local.get $at))
      (i32.add (local.get $at) (i32.const ${SEGMENT.scriptFileAt})) (i32.const 0)))
    (if (i64.eq (local.get $value) ${EXCEPTION})
      (then
        (local.set $failed (i32.const 1))
        (call $track_turns (i32.const 0))
        (call $discard (call $call_with (global.get $on_load_error) (call $JS_GetException (global.get $context)))))
      (else
        (call $discard (local.get $value))
        (call $run_jobs)
        (call $track_turns (i32.const 0))
        ;; An interrupted job has nobody to throw to.
        (if (i32.gt_u (global.get $turns) (i32.const ${LOAD_TURNS_MAX})) (then
          (local.set $failed (i32.const 1))
          (call $discard (call $call_with (global.get $on_load_error) ${UNDEFINED}))))))
    ;; What is freed stays in the memory image: the script's text would be in the module a second time.
    (memory.fill (local.get $at) (i32.const 0) (local.get $bytes))
    (call $mfree (local.get $at))
    (call $JS_RunGC (global.get $runtime))
    (local.get $failed))

  ;; The segment's first bytes. A function of its own, so that capsule dev can give the script in another way.
  (func $fill (export "${TEMPLATE_EXPORT.fill}") (param $to i32) (param $bytes i32)
    (memory.init $script (local.get $to) (i32.const 0) (local.get $bytes)))

  ;; The native function sits in table slot 0, which C keeps empty as its null pointer, so no table has to grow.
  (elem (table $table) (i32.const 0) func $native)
  (func $start_guest (param $at i32) (param $guest_bytes i32)
    (local $guest i64) (local $native i64) (local $handlers i64)
    (local.set $guest (call $must (call $JS_Eval (global.get $context)
      (i32.add (local.get $at) (i32.const ${SEGMENT.guestAt})) (local.get $guest_bytes)
      (i32.add (local.get $at) (i32.const ${SEGMENT.guestFileAt})) (i32.const 0))))
    (local.set $native (call $must (call $JS_NewCFunction2 (global.get $context) (i32.const 0)
      (i32.add (local.get $at) (i32.const ${SEGMENT.guestFileAt})) (i32.const 4) (i32.const 0) (i32.const 0))))
    (local.set $handlers (call $must (call $call_with (local.get $guest) (local.get $native))))
    ${HANDLERS.map(
      (name, index) => `(global.set $${name} (call $must
      (call $JS_GetPropertyUint32 (global.get $context) (local.get $handlers) (i32.const ${index}))))`,
    ).join('\n    ')}
    (call $discard (local.get $handlers))
    (call $discard (local.get $guest)))

  (func $must (param $value i64) (result i64)
    (if (i64.eq (local.get $value) ${EXCEPTION}) (then (unreachable)))
    (local.get $value))

  ;; Math.random is seeded from the clock when the context is made, and one number is drawn. Its state is the word that
  ;; says so: found here, it is replaced at the first call of each instance (see $wake), or all would draw the same.
  (func $find_random_state
    (local $at i32) (local $end i32)
    (local.set $at (global.get $context))
    (local.set $end (i32.add (local.get $at) (i32.const ${CONTEXT_BYTES})))
    (loop $word
      (if (i64.eq (i64.load (local.get $at)) (i64.const ${drawOnce(BigInt(BUILD_CLOCK_MS) * 1000n)}))
        (then
          (if (global.get $random_state) (then (unreachable)))
          (global.set $random_state (local.get $at))))
      (local.set $at (i32.add (local.get $at) (i32.const 8)))
      (br_if $word (i32.lt_u (local.get $at) (local.get $end))))
    (if (i32.eqz (global.get $random_state)) (then (unreachable))))

  (func (export "${TEMPLATE_EXPORT.initialize}")
    (if (call $load) (then (unreachable))))

  ;; Address of a JSON text about what was loaded (0: none could be made), and its length.
  (func (export "${TEMPLATE_EXPORT.report}") (result i32)
    (local $frame i32) (local $value i64) (local $text i32)
    (local.set $value
      (call $JS_Call (global.get $context) (global.get $describe_load) ${UNDEFINED} (i32.const 0) (i32.const 0)))
    (if (i64.eq (local.get $value) ${EXCEPTION}) (then (return (i32.const 0))))
    (local.set $frame (call $push))
    (local.set $text
      (call $JS_ToCStringLen2 (global.get $context) (local.get $frame) (local.get $value) (i32.const 0)))
    (global.set $report_bytes (i32.load (local.get $frame)))
    (call $pop)
    (call $discard (local.get $value))
    (local.get $text))
  (func (export "${TEMPLATE_EXPORT.reportBytes}") (result i32) (global.get $report_bytes))`;

/** Instructions that leave a fixed text in the error slot, without any memory of the guest's, and answer 1. */
function failWithText(text: string): string {
  const stores = [...Buffer.from(text, 'latin1')].map(
    (byte, at) => `(call $store_u8 (i64.add (global.get $last_words) (i64.const ${at})) (i32.const ${byte}))`,
  );
  return `    (global.set $last_words (call $alloc (i64.const ${text.length})))
    (if (i64.ne (global.get $last_words) (i64.const 0)) (then
      ${stores.join('\n      ')}
      (call $error_set (global.get $last_words))))
    (i32.const 1)`;
}

/** The Extism exports. Each is `() -> i32`: 0 for success, 1 with a text in the error slot (ABI reference 3.1). */
export const ENTRY_FUNCTIONS = `
  ${SCRIPT_ENTRY_POINTS.map((name, index) => `(func (export "${name}") (result i32) (call $entry (i32.const ${index})))`).join('\n  ')}

  (func $entry (param $index i32) (result i32)
    (local $frame i32) (local $input i64) (local $value i64)
    ;; A call that ended in a trap left QuickJS in the middle of something. Going on would be undefined behaviour.
    (if (global.get $busy) (then (return (call $fail_after_trap))))
    (global.set $busy (i32.const 1))
    (if (i32.eqz (global.get $live)) (then (call $wake)))
    (local.set $input (call $from_input))
    (if (i64.eq (local.get $input) ${EXCEPTION})
      (then (return (call $fail (call $JS_GetException (global.get $context))))))
    (local.set $frame (call $push))
    (i64.store (local.get $frame) (i64.extend_i32_u (local.get $index)))
    (i64.store offset=8 (local.get $frame) (local.get $input))
    (local.set $value
      (call $JS_Call (global.get $context) (global.get $enter) ${UNDEFINED} (i32.const 2) (local.get $frame)))
    (call $pop)
    (call $JS_FreeValue (global.get $context) (local.get $input))
    (if (i64.eq (local.get $value) ${EXCEPTION})
      (then (return (call $fail (call $JS_GetException (global.get $context))))))
    (call $discard (local.get $value))
    ;; true: the call is not done, and the guest waited for a timer or a message that gives the jobs more to do.
    (loop $turn
      (call $run_jobs)
      (local.set $value
        (call $JS_Call (global.get $context) (global.get $finish) ${UNDEFINED} (i32.const 0) (i32.const 0)))
      (br_if $turn (i64.eq (local.get $value) (i64.const ${JS_TRUE}))))
    (if (i64.eq (local.get $value) ${EXCEPTION})
      (then (return (call $fail (call $JS_GetException (global.get $context))))))
    (call $answer (local.get $value)))

  (func $wake
    (local $frame i32)
    (global.set $live (i32.const 1))
    (local.set $frame (call $push))
    (if (call $host_random (local.get $frame) (i32.const 8)) (then (unreachable)))
    ;; xorshift stays at zero for ever, hence the lowest bit.
    (i64.store (global.get $random_state) (i64.or (i64.load (local.get $frame)) (i64.const 1)))
    (call $pop))

  (func $run_jobs
    (local $frame i32) (local $ran i32)
    (local.set $frame (call $push))
    (block $idle (loop $job
      (local.set $ran (call $JS_ExecutePendingJob (global.get $runtime) (local.get $frame)))
      (br_if $idle (i32.eqz (local.get $ran)))
      (if (i32.lt_s (local.get $ran) (i32.const 0)) (then (call $report_job)))
      (br $job)))
    (call $pop))

  ;; A microtask that throws has no promise to reject; it is reported like a rejection that nobody handles.
  (func $report_job
    (local $frame i32)
    (local.set $frame (call $push))
    (i64.store (local.get $frame) ${UNDEFINED})
    (i64.store offset=8 (local.get $frame) (call $JS_GetException (global.get $context)))
    (i64.store offset=16 (local.get $frame) (i64.const ${BigInt(JS_TAG.bool) << 32n}))
    (call $discard
      (call $JS_Call (global.get $context) (global.get $on_rejection) ${UNDEFINED} (i32.const 3) (local.get $frame)))
    (call $JS_FreeValue (global.get $context) (i64.load offset=8 (local.get $frame)))
    (call $pop))

  ;; undefined: no output; an object: the output's bytes; anything else: the text of a failure.
  (func $answer (param $value i64) (result i32)
    (local $frame i32) (local $from i32) (local $bytes i32) (local $block i64)
    (if (i64.eq (local.get $value) ${UNDEFINED})
      (then
        (global.set $busy (i32.const 0))
        (return (i32.const 0))))
    (if (i32.ne (i32.wrap_i64 (i64.shr_s (local.get $value) (i64.const 32))) (i32.const ${JS_TAG.object}))
      (then (return (call $fail (local.get $value)))))
    (local.set $frame (call $push))
    (local.set $from (call $bytes_of (local.get $frame) (local.get $value)))
    (local.set $bytes (i32.load (local.get $frame)))
    (call $pop)
    (if (i32.eqz (local.get $from))
      (then
        (call $JS_FreeValue (global.get $context) (local.get $value))
        (return (call $fail (call $JS_GetException (global.get $context))))))
    (local.set $block (call $to_block (local.get $from) (local.get $bytes)))
    (call $JS_FreeValue (global.get $context) (local.get $value))
    (if (i64.eqz (local.get $block))
      (then (if (local.get $bytes) (then (return (call $fail_without_memory)))))
      (else (call $output_set (local.get $block) (i64.extend_i32_u (local.get $bytes)))))
    (global.set $busy (i32.const 0))
    (i32.const 0))

  ;; Consumes the value, whose text becomes the error.
  (func $fail (param $value i64) (result i32)
    (local $frame i32) (local $text i32) (local $block i64)
    (local.set $frame (call $push))
    (local.set $text
      (call $JS_ToCStringLen2 (global.get $context) (local.get $frame) (local.get $value) (i32.const 0)))
    (if (local.get $text) (then
      (local.set $block (call $to_block (local.get $text) (i32.load (local.get $frame))))
      (call $JS_FreeCString (global.get $context) (local.get $text))))
    (call $pop)
    (call $JS_FreeValue (global.get $context) (local.get $value))
    (if (i64.eqz (local.get $block)) (then (return (call $fail_without_memory))))
    (call $error_set (local.get $block))
    (global.set $busy (i32.const 0))
    (i32.const 1))

  ;; Not even the text of the failure could be made: this one needs nothing from QuickJS.
  (func $fail_without_memory (result i32)
    (call $discard (call $JS_GetException (global.get $context)))
    (global.set $busy (i32.const 0))
${failWithText('out of memory')})

  (func $fail_after_trap (result i32)
${failWithText('an earlier call of this capsule was cut off and left it unusable: restart it')})

  ;; Frees a value; of a failure, the exception.
  (func $discard (param $value i64)
    (if (i64.eq (local.get $value) ${EXCEPTION})
      (then (local.set $value (call $JS_GetException (global.get $context)))))
    (call $JS_FreeValue (global.get $context) (local.get $value)))

  ;; Calls a function with one argument, which it consumes.
  (func $call_with (param $function i64) (param $argument i64) (result i64)
    (local $frame i32) (local $value i64)
    (local.set $frame (call $push))
    (i64.store (local.get $frame) (local.get $argument))
    (local.set $value
      (call $JS_Call (global.get $context) (local.get $function) ${UNDEFINED} (i32.const 1) (local.get $frame)))
    (call $pop)
    (call $JS_FreeValue (global.get $context) (local.get $argument))
    (local.get $value))`;
