import { ALWAYS_LINKED, ENTRY_POINTS, NATIVE_OP } from './adaptor-layout.js';

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
}

/** What `describe_load` answers, as JSON. */
export interface LoadReport {
  readonly error: string | null;
  readonly dispatcher: string;
  readonly exports: unknown;
  readonly printed: readonly string[];
}

type Native = (op: number, ...args: unknown[]) => unknown;
type Handler = (...args: never[]) => unknown;
/** ES2024, which QuickJS has and the compiler does not know yet. */
type WellFormed = string & { toWellFormed(): string };

interface GuestGlobals {
  __astrid_call?: unknown;
  __astrid_env?: unknown;
  __astrid_dispatch?: (entry: string, input: Uint8Array) => unknown;
  __astrid_exports?: unknown;
}

/** Source of the guest's first script: an expression that takes the native function and answers the adaptor's handlers. */
export function makeGuestScript(calls: readonly LinkedCall[]): string {
  const config: GuestConfig = { calls, entries: ENTRY_POINTS, logCall: ALWAYS_LINKED[1], op: NATIVE_OP };
  return `(native) => (${installGuest.toString()})(native, ${JSON.stringify(config)})`;
}

/**
 * Runs inside QuickJS, from its own source text: nothing outside of it may be named here, and no Node API exists.
 * Answers the handlers in the order of `HANDLERS` (adaptor-entry.ts).
 */
function installGuest(native: Native, config: GuestConfig): Handler[] {
  const guest = globalThis as unknown as GuestGlobals;
  const PRINT_CHARS_MAX = 16_000;
  const PRINTED_LINES_MAX = 100;
  const REJECTIONS_KEPT_MAX = 32;
  const CAUSES_MAX = 4;
  const slots = new Map(config.calls.map((call) => [call.name, call]));
  const printed: string[] = [];
  let loadError: string | null = null;
  let startedMs: number | null = null;
  let rejections: { promise: unknown; reason: unknown }[] = [];
  let outcome: { output?: unknown; failure?: string } | null = null;

  const encode = (text: string) => native(config.op.encodeUtf8, (text as WellFormed).toWellFormed()) as Uint8Array;
  const decode = (bytes: Uint8Array) => native(config.op.decodeUtf8, bytes) as string;

  const describe = (thrown: unknown, depth = 0): string => {
    try {
      if (!(thrown instanceof Error)) return `thrown: ${String(thrown)}`;
      const head = thrown.message === '' ? thrown.name : `${thrown.name}: ${thrown.message}`;
      const stack = typeof thrown.stack === 'string' && thrown.stack !== '' ? `\n${thrown.stack.trimEnd()}` : '';
      const cause = thrown.cause === undefined || depth === CAUSES_MAX ? '' : describe(thrown.cause, depth + 1);
      return cause === '' ? head + stack : `${head}${stack}\ncaused by: ${cause}`;
    } catch {
      return 'an error was thrown that has no description';
    }
  };

  const call = (name: string, ...args: Uint8Array[]): Uint8Array => {
    const linked = slots.get(name);
    if (linked === undefined) {
      throw new TypeError(`host call ${name} is not linked: its name has to stand in the source as a plain string`);
    }
    if (args.length !== linked.arity) {
      throw new TypeError(`host call ${name} takes ${linked.arity} arguments, not ${args.length}`);
    }
    for (const arg of args) {
      if (!(arg instanceof Uint8Array)) throw new TypeError(`host call ${name} takes arguments of type Uint8Array`);
    }
    const result = native(linked.slot, ...args);
    if (result === undefined && name === config.logCall) {
      if (printed.length < PRINTED_LINES_MAX) printed.push(decode(args[1] as Uint8Array));
      return new Uint8Array(1);
    }
    if (result === undefined) {
      throw new Error(`host call ${name} while the capsule is being built: call it in a handler, not at top level`);
    }
    return result as Uint8Array;
  };

  const write = (level: string, text: string): void => {
    for (let at = 0; at < text.length || at === 0; at += PRINT_CHARS_MAX) {
      call(config.logCall, encode(level), encode(text.slice(at, at + PRINT_CHARS_MAX)));
    }
  };

  const random = (count: number): Uint8Array => {
    if (!Number.isInteger(count) || count < 0) throw new RangeError(`random takes a number of bytes, not ${count}`);
    const bytes = native(config.op.random, count | 0);
    if (bytes === undefined) {
      throw new Error('random bytes while the capsule is being built: they would be the same in every instance');
    }
    return bytes as Uint8Array;
  };

  const reportRejections = (): void => {
    const unhandled = rejections;
    rejections = [];
    for (const { reason } of unhandled) write('error', `unhandled rejection: ${describe(reason)}`);
  };

  const onRejection = (promise: unknown, reason: unknown, handled: boolean): void => {
    if (handled) rejections = rejections.filter((entry) => entry.promise !== promise);
    else rejections.push({ promise, reason });
    // A run loop does not come to an end where they would be reported.
    if (rejections.length >= REJECTIONS_KEPT_MAX) reportRejections();
  };

  const enter = (index: number, input: Uint8Array): void => {
    outcome = null;
    startedMs ??= Date.now();
    const succeed = (output: unknown) => {
      outcome = { output };
    };
    const fail = (thrown: unknown) => {
      outcome = { failure: describe(thrown) };
    };
    try {
      const result = guest.__astrid_dispatch?.(config.entries[index] as string, input);
      if (typeof (result as PromiseLike<unknown> | undefined)?.then === 'function') {
        Promise.resolve(result).then(succeed, fail);
      } else succeed(result);
    } catch (thrown) {
      fail(thrown);
    }
  };

  const finish = (): unknown => {
    const settled = outcome;
    outcome = null;
    if (rejections.length > 0) reportRejections();
    if (settled === null) return 'the promise of this call never settled, and nothing is left that could settle it';
    if (settled.failure !== undefined) return settled.failure;
    const { output } = settled;
    if (output === undefined || output instanceof Uint8Array) return output;
    return `the dispatcher answered ${output === null ? 'null' : typeof output}, not a Uint8Array`;
  };

  const onLoadError = (thrown: unknown): void => {
    // A job that was interrupted has no error to show for it.
    loadError = thrown === undefined ? 'InternalError: interrupted' : describe(thrown);
  };

  const describeLoad = (): string => {
    const [rejection] = rejections;
    if (rejection !== undefined) loadError ??= describe(rejection.reason);
    const report: LoadReport = {
      error: loadError,
      dispatcher: typeof guest.__astrid_dispatch,
      exports: guest.__astrid_exports ?? null,
      printed,
    };
    return JSON.stringify(report);
  };

  // The engine's own object keeps the time of the build as its origin for ever.
  const performance = {
    now: () => Date.now() - (startedMs ?? Date.now()),
    get timeOrigin(): number {
      return startedMs ?? Date.now();
    },
  };

  const fixed = (value: unknown) => ({ value, enumerable: false, writable: false, configurable: false });
  const env = {
    now: () => Date.now(),
    random,
    print: (text: string) => write('info', String(text)),
    // UTF-8 by the engine's own code, some hundred times faster than a script's.
    encodeUtf8: (text: string) => encode(String(text)),
    decodeUtf8: decode,
  };
  Object.defineProperties(guest, {
    __astrid_call: fixed(call),
    __astrid_env: fixed(Object.freeze(env)),
    performance: { value: performance, enumerable: false, writable: true, configurable: true },
  });
  return [enter, finish, onRejection, onLoadError, describeLoad] as Handler[];
}
