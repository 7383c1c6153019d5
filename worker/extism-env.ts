import { Fault } from '../abi/errno.js';
import type { GuestBlocks } from './guest-blocks.js';
import { GuestTrap } from './results.js';

/** What a guest left behind for its caller: the blocks it named as output and error. */
export interface GuestOutcome {
  output: Buffer;
  error: string | null;
}

type EnvFunction = CallableFunction | ((...args: never[]) => unknown);

/** Value and its bytes are kept apart from the blocks: a variable outlives the call that set it. */
class GuestVariables {
  readonly #values = new Map<string, Buffer>();
  readonly #bytesMax: number;
  #bytes = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  get(key: string): Buffer | undefined {
    return this.#values.get(key);
  }

  set(key: string, value: Buffer | null): void {
    const before = this.#values.get(key);
    const delta =
      (value === null ? 0 : key.length + value.length) - (before === undefined ? 0 : key.length + before.length);
    if (this.#bytes + delta > this.#bytesMax) {
      throw new GuestTrap(new Fault('out_of_memory', `Extism variables pass ${this.#bytesMax} bytes`));
    }
    this.#bytes += delta;
    if (value === null) this.#values.delete(key);
    else this.#values.set(key, value);
  }
}

/**
 * The functions of `extism:host/env`, over our own blocks. They replace the SDK's of the same names, because an object
 * passed to it for this namespace is laid over its own. HTTP and configuration of Extism itself are refused: Astrid has
 * its own, behind the gate.
 */
export function makeExtismEnv(
  blocks: GuestBlocks,
  variablesBytesMax: number,
  outcome: GuestOutcome,
  log: (level: string, message: string) => void,
): Record<string, EnvFunction> {
  const variables = new GuestVariables(variablesBytesMax);
  const text = (offset: bigint) => blocks.read(Number(offset)).toString('utf8');
  const logAt = (level: string) => (offset: bigint) => log(level, text(offset));
  const noHttp = () => {
    throw new GuestTrap(new Fault('not_supported', 'Extism HTTP is not offered: use astrid_http_request'));
  };
  return {
    ...blocks.accessors,
    alloc: (bytes: bigint) => BigInt(blocks.alloc(Number(BigInt.asUintN(64, bytes)))),
    free: (offset: bigint) => blocks.free(Number(offset)),
    length: (offset: bigint) => BigInt(blocks.length(Number(offset))),
    length_unsafe: (offset: bigint) => BigInt(blocks.length(Number(offset))),
    input_offset: () => BigInt(blocks.inputOffset),
    input_length: () => BigInt(blocks.length(blocks.inputOffset)),
    output_set: (offset: bigint, length: bigint) => {
      const whole = blocks.read(Number(offset));
      outcome.output = whole.subarray(0, Math.min(whole.length, Number(BigInt.asUintN(64, length))));
    },
    error_set: (offset: bigint) => {
      outcome.error = offset === 0n ? null : text(offset);
    },
    error_get: () => 0n,
    config_get: () => 0n,
    var_get: (key: bigint) => {
      const value = variables.get(text(key));
      return value === undefined ? 0n : BigInt(blocks.store(value));
    },
    var_set: (key: bigint, value: bigint) => {
      variables.set(text(key), value === 0n ? null : blocks.read(Number(value)));
    },
    http_request: noHttp,
    http_status_code: () => 0,
    http_headers: () => 0n,
    log_trace: logAt('trace'),
    log_debug: logAt('debug'),
    log_info: logAt('info'),
    log_warn: logAt('warn'),
    log_error: logAt('error'),
    get_log_level: () => 0,
  };
}
