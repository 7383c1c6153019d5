import { ALWAYS_LINKED, NATIVE_OP, SCRIPT_ENTRY_POINTS } from './adaptor-layout.js';
import { makeStackMapper, type StackTable } from './guest-stack.js';

/** A host call of one module: its place in the dispatch function, and how many blocks it takes. */
export interface LinkedCall {
  readonly name: string;
  readonly slot: number;
  readonly arity: number;
}

interface GuestConfig {
  readonly calls: readonly LinkedCall[];
  readonly entries: readonly string[];
  readonly logCall: string;
  readonly op: typeof NATIVE_OP;
  readonly stack: StackTable;
}

/** What the template's report says about a script that was loaded, as JSON. */
export interface LoadReport {
  readonly error: string | null;
  readonly dispatcher: string;
  readonly exports: unknown;
  /** What the script answers to, for checks against the manifest. */
  readonly actions: unknown;
  readonly printed: readonly string[];
}

type Native = (op: number, ...args: unknown[]) => unknown;
type Handler = (...args: never[]) => unknown;
/** ES2024, which QuickJS has and the compiler does not know yet. */
type WellFormed = string & { toWellFormed(): string };
type Write = (level: string, text: string) => void;

interface GuestGlobals {
  __astrid_dispatch?: (entry: string, input: Uint8Array) => unknown;
  __astrid_exports?: unknown;
  __astrid_actions?: unknown;
  /** Set by the SDK's event loop when a capsule uses it: waits once and answers true, or false when nothing is awaited. */
  __astrid_idle?: () => boolean;
  /** Set by the same: forgets what an invocation left behind. */
  __astrid_settled?: () => void;
}

/** Source of the guest's first script: an expression that takes the native function and answers the adaptor's handlers. */
export function makeGuestScript(calls: readonly LinkedCall[], stack: StackTable): string {
  const [, logCall] = ALWAYS_LINKED;
  const config: GuestConfig = { calls, entries: SCRIPT_ENTRY_POINTS, logCall, op: NATIVE_OP, stack };
  const functions = [makeStackMapper, describeThrown, makeDoor, makeRejections, makeEntry, installGuest];
  const parts = functions.map((part) => part.toString());
  return `(native) => {\n${parts.join('\n')}\nreturn installGuest(native, ${JSON.stringify(config)});\n}`;
}

/*
 * The functions below run inside QuickJS, from their own source text. They may name each other and what ECMAScript has,
 * and nothing else of this file or of Node.
 */

/** Message, stack and causes of whatever was thrown. */
function describeThrown(thrown: unknown, depth = 0): string {
  const causesMax = 4;
  try {
    if (!(thrown instanceof Error)) return `thrown: ${String(thrown)}`;
    const head = thrown.message === '' ? thrown.name : `${thrown.name}: ${thrown.message}`;
    const stack = typeof thrown.stack === 'string' && thrown.stack !== '' ? `\n${thrown.stack.trimEnd()}` : '';
    const cause = thrown.cause === undefined || depth === causesMax ? '' : describeThrown(thrown.cause, depth + 1);
    return cause === '' ? head + stack : `${head}${stack}\ncaused by: ${cause}`;
  } catch {
    return 'an error was thrown that has no description';
  }
}

/** Host calls, the log and randomness. While the module is built the native function answers undefined to all three. */
function makeDoor(native: Native, config: GuestConfig, printed: string[]) {
  const printCharsMax = 16_000;
  const printedLinesMax = 100;
  const slots = new Map(config.calls.map((linked) => [linked.name, linked]));

  const decline = (name: string, message: unknown): Uint8Array => {
    if (name !== config.logCall) {
      throw new Error(`host call ${name} while the capsule is being built: call it in a handler, not at top level`);
    }
    if (printed.length < printedLinesMax) printed.push(native(config.op.decodeUtf8, message) as string);
    return new Uint8Array(1);
  };

  // Spelled out by number of arguments: a spread costs an interpreter more than the call itself.
  function call(name: string, a?: unknown, b?: unknown, c?: unknown, ...more: unknown[]): Uint8Array {
    const linked = slots.get(name);
    if (linked === undefined) {
      throw new TypeError(`host call ${name} is not linked: its name has to stand in the source as a plain string`);
    }
    const { slot, arity } = linked;
    const given = c !== undefined ? 3 + more.length : b !== undefined ? 2 : a !== undefined ? 1 : 0;
    if (given !== arity) throw new TypeError(`host call ${name} takes ${arity} arguments, not ${given}`);
    const result =
      arity === 0
        ? native(slot)
        : arity === 1
          ? native(slot, a)
          : arity === 2
            ? native(slot, a, b)
            : native(slot, a, b, c);
    return result === undefined ? decline(name, b) : (result as Uint8Array);
  }

  const encode = (text: string) => native(config.op.encodeUtf8, (text as WellFormed).toWellFormed());
  const write: Write = (level, text) => {
    for (let at = 0; at < text.length || at === 0; at += printCharsMax) {
      call(config.logCall, encode(level), encode(text.slice(at, at + printCharsMax)));
    }
  };

  const random = (count: number): Uint8Array => {
    if (!Number.isInteger(count) || count < 0) throw new RangeError(`random takes a number of bytes, not ${count}`);
    const bytes = native(config.op.random, count | 0);
    if (bytes !== undefined) return bytes as Uint8Array;
    throw new Error('random bytes while the capsule is being built: they would be the same in every instance');
  };
  const sleep = (ms: number): void => {
    if (!Number.isInteger(ms) || ms < 0 || ms > 0x7fffffff) throw new RangeError(`sleep takes whole ms, not ${ms}`);
    if (native(config.op.sleep, ms) === undefined) throw new Error('sleep while the capsule is being built');
  };
  return { call, write, random, sleep };
}

/** Promises that failed while nobody was looking are reported, as every runtime does, and not dropped. */
function makeRejections(write: Write, describe: (thrown: unknown) => string) {
  const keptMax = 32;
  let kept: { promise: unknown; reason: unknown }[] = [];
  const report = (): void => {
    const unhandled = kept;
    kept = [];
    for (const { reason } of unhandled) write('error', `unhandled rejection: ${describe(reason)}`);
  };
  const track = (promise: unknown, reason: unknown, handled: boolean): void => {
    if (handled) kept = kept.filter((entry) => entry.promise !== promise);
    else kept.push({ promise, reason });
    // A run loop does not come to an end, where they would be reported.
    if (kept.length >= keptMax) report();
  };
  const first = (): string | null => (kept[0] === undefined ? null : describe(kept[0].reason));
  return { report, track, first };
}

/** One call of an export: `enter` starts it, the adaptor runs pending jobs, `finish` tells what came of it. */
function makeEntry(
  config: GuestConfig,
  rejections: { report: () => void; first: () => string | null },
  describe: (thrown: unknown) => string,
  times: { startedMs: number | null },
) {
  const guest = globalThis as unknown as GuestGlobals;
  let outcome: { output?: unknown; failure?: string } | null = null;
  let entry = '';

  const enter = (index: number, input: Uint8Array): void => {
    outcome = null;
    entry = config.entries[index] as string;
    times.startedMs ??= Date.now();
    const succeed = (output: unknown) => {
      outcome = { output };
    };
    const fail = (thrown: unknown) => {
      outcome = { failure: describe(thrown) };
    };
    try {
      const result = guest.__astrid_dispatch?.(entry, input);
      const isThenable = typeof (result as PromiseLike<unknown> | null | undefined)?.then === 'function';
      if (isThenable) Promise.resolve(result).then(succeed, fail);
      else succeed(result);
    } catch (thrown) {
      fail(thrown);
    }
  };

  /** A call that is not done waits for what its event loop has; a run loop ends at the first rejection nobody handles. */
  const wait = (): unknown => {
    const rejected = entry === 'run' ? rejections.first() : null;
    if (rejected !== null) return `unhandled rejection in run: ${rejected}`;
    try {
      if (guest.__astrid_idle?.() === true) return true;
    } catch (thrown) {
      return describe(thrown);
    }
    return `${entry}: the promise of this call never settled, and nothing is left that could settle it (no timer, no message)`;
  };

  /** True: go on with the jobs. Undefined: no output. Bytes: the output. Text: what went wrong. */
  const finish = (): unknown => {
    const settled = outcome;
    const waited = settled === null ? wait() : undefined;
    if (waited === true) {
      if (entry !== 'run') rejections.report();
      return true;
    }
    outcome = null;
    rejections.report();
    guest.__astrid_settled?.();
    if (settled === null) return waited;
    if (settled.failure !== undefined) return settled.failure;
    const { output } = settled;
    if (output === undefined || output instanceof Uint8Array) return output;
    return `the dispatcher answered ${output === null ? 'null' : typeof output}, not a Uint8Array`;
  };
  return { enter, finish };
}

/** Sets the globals of the guest contract and answers the handlers in the order of `HANDLERS` (adaptor-entry.ts). */
function installGuest(native: Native, config: GuestConfig): Handler[] {
  const guest = globalThis as unknown as GuestGlobals;
  const printed: string[] = [];
  let loadError: string | null = null;
  const door = makeDoor(native, config, printed);
  const times: { startedMs: number | null } = { startedMs: null };
  const mapStack = makeStackMapper(config.stack);
  // The build maps what fails while it loads a script, and says more about it.
  const describe = (thrown: unknown): string => {
    const text = describeThrown(thrown);
    return times.startedMs === null ? text : mapStack(text);
  };
  const rejections = makeRejections(door.write, describe);
  const { enter, finish } = makeEntry(config, rejections, describe, times);

  const onLoadError = (thrown: unknown): void => {
    // A job that was interrupted has no error to show for it.
    loadError = thrown === undefined ? 'InternalError: interrupted' : describeThrown(thrown);
  };
  const describeLoad = (): string => {
    const error = loadError ?? rejections.first();
    const dispatcher = typeof guest.__astrid_dispatch;
    const exports = guest.__astrid_exports ?? null;
    const report: LoadReport = { error, dispatcher, exports, actions: guest.__astrid_actions ?? null, printed };
    return JSON.stringify(report);
  };

  // The engine's own object keeps the time of the build as its origin for ever.
  const performance = {
    now: () => Date.now() - (times.startedMs ?? Date.now()),
    get timeOrigin(): number {
      return times.startedMs ?? Date.now();
    },
  };
  const fixed = (value: unknown) => ({ value, enumerable: false, writable: false, configurable: false });
  const print = (text: string) => door.write('info', String(text));
  Object.defineProperties(guest, {
    __astrid_call: fixed(door.call),
    __astrid_env: fixed(
      Object.freeze({ now: () => Date.now(), random: door.random, sleep: door.sleep, describe, print }),
    ),
    performance: { value: performance, enumerable: false, writable: true, configurable: true },
  });
  return [enter, finish, rejections.track, onLoadError, describeLoad] as Handler[];
}
