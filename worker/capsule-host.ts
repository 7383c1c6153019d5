import createPlugin from '@extism/extism';
import { OLDEST_EXPORT } from '../abi/entry-points.js';
import { asFault, Fault } from '../abi/errno.js';
import { LIMITS } from '../abi/limits.js';
import type { LoadReport, LoadRequest } from '../abi/worker-protocol.js';
import { clampMemory } from './clamp.js';
import { type GuestOutcome, makeExtismEnv } from './extism-env.js';
import { GuestBlocks } from './guest-blocks.js';
import { guestNow } from './guest-clock.js';
import { makeSyscallImports } from './imports.js';
import { type InvocationContext, makeLocalCalls } from './local-calls.js';
import { GuestTrap } from './results.js';
import type { SyscallClient } from './syscall-client.js';
import { makeWasiShim } from './wasi-shim.js';

const WASI = 'wasi_snapshot_preview1';
const ERROR_TEXT_CHARS_MAX = 16_384;
const EMPTY = Buffer.alloc(0);

/** What an export call came to. A trap is the guest's end, not the worker's. */
export type InvokeResult =
  | { readonly kind: 'done'; readonly returnCode: number; readonly output: Buffer; readonly error: string }
  | { readonly kind: 'trapped'; readonly fault: Fault };

/** One capsule instance: loaded once, then called one export at a time. */
export class CapsuleHost {
  readonly report: LoadReport;
  readonly #instance: WebAssembly.Instance;
  readonly #blocks: GuestBlocks;
  readonly #outcome: GuestOutcome;
  readonly #context: InvocationContext;

  private constructor(
    module: WebAssembly.Module,
    instance: WebAssembly.Instance,
    blocks: GuestBlocks,
    outcome: GuestOutcome,
    context: InvocationContext,
  ) {
    this.#instance = instance;
    this.#blocks = blocks;
    this.#outcome = outcome;
    this.#context = context;
    const functions = WebAssembly.Module.exports(module).filter((item) => item.kind === 'function');
    this.report = { exports: functions.map((item) => item.name) };
  }

  /** Clamps, compiles and instantiates. Throws Fault bad_module, out_of_memory, or what a start function trapped with. */
  static async load(request: LoadRequest, client: SyscallClient): Promise<CapsuleHost> {
    const clamped = clampMemory(request.wasm, request.memoryPages);
    const module = compile(clamped);
    let guestMemory: WebAssembly.Memory | undefined;
    const memory = () => guestMemory;
    const outcome: GuestOutcome = { output: EMPTY, error: null };
    const context: InvocationContext = { callerJson: null };
    const blocks = new GuestBlocks(request.blockBytesMax, () => memory()?.buffer.byteLength ?? 0);
    const log = (level: string, message: string) => client.sendLog(level, message);
    // A capsule of 0.5.0 to 0.5.2 states generation 1 for its results, but reads configuration as later ones do.
    const isOldest = request.generation === 1 && hasExport(module, OLDEST_EXPORT);
    const local = makeLocalCalls(request, client, context, guestNow, isOldest);
    const logLocally = (level: string, message: string) => {
      local['astrid_log']?.([Buffer.from(level), Buffer.from(message.slice(0, LIMITS.logMessageBytesMax))]);
    };
    const wasiNames = WebAssembly.Module.imports(module).filter((item) => item.module === WASI);
    const functions = {
      'extism:host/env': makeExtismEnv(blocks, request.blockBytesMax, outcome, logLocally),
      'extism:host/user': makeSyscallImports({ blocks, client, local, generation: request.generation }),
      [WASI]: makeWasiShim(
        wasiNames.map((item) => item.name),
        { memory, log: logLocally, now: guestNow },
      ),
    };
    try {
      const plugin = await createPlugin(
        { wasm: [{ module }] },
        { functions: unbind(functions), logger: sdkLogger(log) },
      );
      const instance = await plugin.getInstance();
      guestMemory = memoryOf(instance);
      // The SDK leaves a reactor's initialiser to its caller when WASI is not its own.
      callIfPresent(instance, '_initialize');
      return new CapsuleHost(module, instance, blocks, outcome, context);
    } catch (error) {
      throw faultOfTrap(error);
    }
  }

  invoke(name: string, input: Uint8Array, callerJson: string | null): InvokeResult {
    const exported = this.#instance.exports[name];
    if (typeof exported !== 'function') {
      return { kind: 'trapped', fault: new Fault('not_supported', `the capsule does not export ${name}`) };
    }
    this.#blocks.reset();
    this.#context.callerJson = callerJson;
    this.#outcome.output = EMPTY;
    this.#outcome.error = null;
    try {
      this.#blocks.setInput(input);
      const returned: unknown = exported();
      const returnCode = typeof returned === 'number' ? returned : 0;
      const error = (this.#outcome.error ?? '').slice(0, ERROR_TEXT_CHARS_MAX);
      return { kind: 'done', returnCode, output: this.#outcome.output, error };
    } catch (error) {
      return { kind: 'trapped', fault: faultOfTrap(error) };
    } finally {
      this.#context.callerJson = null;
    }
  }
}

function hasExport(module: WebAssembly.Module, wanted: string): boolean {
  return WebAssembly.Module.exports(module).some(({ name }) => name === wanted);
}

function compile(bytes: Uint8Array): WebAssembly.Module {
  try {
    return new WebAssembly.Module(Buffer.from(bytes));
  } catch (error) {
    throw new Fault('bad_module', `the module does not compile: ${asFault(error).message}`);
  }
}

function memoryOf(instance: WebAssembly.Instance): WebAssembly.Memory | undefined {
  return Object.values(instance.exports).find((item) => item instanceof WebAssembly.Memory);
}

function callIfPresent(instance: WebAssembly.Instance, name: string): void {
  const exported = instance.exports[name];
  if (typeof exported === 'function') exported();
}

/**
 * The SDK binds every function to its call context, which would put a JavaScript frame between two wasm instances. A
 * function that answers `bind` with itself keeps its place in the engine.
 */
function unbind(functions: Record<string, Record<string, unknown>>): Record<string, Record<string, never>> {
  for (const table of Object.values(functions)) {
    for (const [name, entry] of Object.entries(table)) {
      if (typeof entry !== 'function') {
        delete table[name];
        continue;
      }
      // Two names may share one function, as the empty lists of WASI do: the second time must not fail.
      Object.defineProperty(entry, 'bind', { value: () => entry, configurable: true });
    }
  }
  return functions as Record<string, Record<string, never>>;
}

/** What ended a guest call, with a code an operator can act on. */
function faultOfTrap(error: unknown): Fault {
  if (error instanceof GuestTrap) return error.fault;
  if (error instanceof Fault) return error;
  if (error instanceof RangeError) return new Fault('crashed', `the guest's stack overflowed: ${error.message}`);
  if (error instanceof WebAssembly.RuntimeError) return new Fault('crashed', `the guest trapped: ${error.message}`);
  if (error instanceof WebAssembly.LinkError) return new Fault('bad_module', error.message);
  return new Fault('crashed', asFault(error).message);
}

function sdkLogger(log: (level: string, message: string) => void): Console {
  const at = (level: string) => (message: unknown) => log(level, String(message));
  return {
    trace: at('trace'),
    debug: at('debug'),
    info: at('info'),
    log: at('info'),
    warn: at('warn'),
    error: at('error'),
  } as Console;
}
