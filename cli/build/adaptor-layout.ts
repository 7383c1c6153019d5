import { ENTRY_POINTS } from '../../abi/entry-points.js';

/**
 * What the adaptor (WebAssembly), the guest's first script and the build agree on. Nothing here is part of the ABI: a
 * module is built from one version of these files.
 */

/** Export names by which the template's parts are found again; none is left in a finished module. */
export const TEMPLATE_EXPORT = {
  dispatch: 'template.dispatch',
  padding: (index: number) => `template.padding.${index}`,
  load: 'template.load',
  fill: 'template.fill',
  report: 'template.report',
  reportBytes: 'template.report_bytes',
  initialize: 'wizer.initialize',
} as const;

/**
 * The Extism exports that a script may have, all but the one that only the oldest build tools called. An entry's number is its
 * place here.
 */
export const SCRIPT_ENTRY_POINTS = ENTRY_POINTS.filter((name) => name !== 'astrid_export_schemas');

/**
 * Host calls that each module imports, used or not: the clock behind `Date.now`, and the log that `print` writes to.
 * `astrid_log` is a void call, and its import with a result is what tells a loader that this is generation 3.
 */
export const ALWAYS_LINKED = ['astrid_clock_ms', 'astrid_log'] as const;

/** First argument of the native function; a number from 0 on is the slot of a host call. */
export const NATIVE_OP = { random: -1, encodeUtf8: -2, decodeUtf8: -3, sleep: -4 } as const;

/** File names that stack traces show: the author's bundle, and the part of the guest that is ours. */
export const SCRIPT_FILE = 'capsule.js';
export const GUEST_FILE = 'astrid-guest.js';

/**
 * The passive data segment that carries the scripts into the module: five u32 (bytes in all, memory limit, stack limit,
 * bytes of the guest part, bytes of the script), the two file names, the guest part, the script; each text NUL-ended.
 */
const HEADER_BYTES = 20;
const SCRIPT_FILE_AT = HEADER_BYTES;
const GUEST_FILE_AT = SCRIPT_FILE_AT + SCRIPT_FILE.length + 1;
export const SEGMENT = {
  magic: 'ASTRID-SCRIPT-HERE',
  headerBytes: HEADER_BYTES,
  scriptFileAt: SCRIPT_FILE_AT,
  guestFileAt: GUEST_FILE_AT,
  guestAt: GUEST_FILE_AT + GUEST_FILE.length + 1,
} as const;

/** What the clock says while the module is built (2024-01-02T03:04:05.678Z); `$find_random_state` looks for it too. */
export const BUILD_CLOCK_MS = 1_704_164_645_678;

/** Turns of the interrupt check (10,000 loop steps each) that a script may take to load: some 4 s, then it is stopped. */
export const LOAD_TURNS_MAX = 1_500;

/** A JSValue is a NaN-boxed i64 with the tag in its upper word; a small integer is its own lower word. */
export const JS_TAG = { object: -1, bool: 1, undefined: 3, exception: 6 } as const;
export const JS_TRUE = (BigInt(JS_TAG.bool) << 32n) | 1n;
export const JS_UNDEFINED = BigInt(JS_TAG.undefined) << 32n;
export const JS_EXCEPTION = BigInt(JS_TAG.exception) << 32n;
