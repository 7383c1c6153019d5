import { isUtf8 } from 'node:buffer';
import { Fault } from '../abi/errno.js';
import { LIMITS } from '../abi/limits.js';
import type { AbiGeneration } from '../abi/manifest.js';
import type { SyscallRow } from '../abi/syscalls/row.js';
import { legacyText } from './legacy-texts.js';
import type { SyscallResult } from './syscall-client.js';

/** Ends the guest's call: in generations 1 and 2 most host errors are traps (ABI reference 1.5). */
export class GuestTrap extends Error {
  override readonly name = 'GuestTrap';
  readonly fault: Fault;

  constructor(fault: Fault) {
    super(fault.message);
    this.fault = fault;
  }
}

/** An argument that the worker itself refuses: even the calls with a status byte trap on it (ABI reference 1.3). */
class ArgumentFault extends Fault {}

const OK = Buffer.from([0]);
const FAILED = Buffer.from([1]);

/** The bytes a guest of this generation reads for a result; throws GuestTrap where that generation knows no error. */
export function encodeResult(call: SyscallRow, generation: AbiGeneration, result: SyscallResult): Buffer {
  if (generation === 3) {
    if (result.ok) return Buffer.concat([OK, result.value]);
    const { code, message } = result.fault;
    return Buffer.concat([FAILED, Buffer.from(JSON.stringify({ code, message }))]);
  }
  const prefixed = call.hostResult && generation === 2;
  if (result.ok) return prefixed ? Buffer.concat([OK, result.value]) : result.value;
  if (result.fault instanceof ArgumentFault) throw new GuestTrap(result.fault);
  const text = legacyText(call.name, result.fault);
  if (prefixed) return Buffer.concat([FAILED, Buffer.from(text)]);
  throw new GuestTrap(new Fault(result.fault.code, text));
}

/** The limits with a text of their own (ABI reference 2.2); all others say it as an allocation. */
const LIMIT_TEXTS: Readonly<Record<string, string>> = {
  topic: `Topic exceeds maximum allowed length (${LIMITS.topicBytesMax} bytes)`,
  pattern: `Topic exceeds maximum allowed length (${LIMITS.topicBytesMax} bytes)`,
};

/** The argument that is over its bound, as a Fault; null when all fit. */
export function checkArgumentSizes(call: SyscallRow, lengths: readonly number[]): Fault | null {
  for (const [index, spec] of call.params.entries()) {
    const bytes = lengths[index] ?? 0;
    if (bytes <= spec.bytesMax) continue;
    const text =
      LIMIT_TEXTS[spec.name] ??
      `memory allocation of ${bytes} bytes exceeds maximum allowed limit of ${spec.bytesMax} bytes`;
    return new ArgumentFault('too_large', text, { field: spec.name });
  }
  return null;
}

/** The two calls with a prefix read it strictly, and trap where the other five answer (ABI reference 1.3). */
export function checkPrefixText(call: SyscallRow, args: readonly Buffer[]): Fault | null {
  const index = call.params.findIndex(({ name }) => name === 'prefix');
  const prefix = args[index];
  if (prefix === undefined || isUtf8(prefix)) return null;
  return new ArgumentFault('invalid_argument', 'prefix is not valid UTF-8', { field: 'prefix' });
}
