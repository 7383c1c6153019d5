import { Fault } from '../abi/errno.js';
import { LIMITS } from '../abi/limits.js';
import type { AbiGeneration } from '../abi/manifest.js';
import type { SyscallRow } from '../abi/syscalls/row.js';
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
  if (prefixed && isRecoverable(call, result.fault)) return Buffer.concat([FAILED, Buffer.from(result.fault.message)]);
  throw new GuestTrap(result.fault);
}

/** Over-limit arguments trap even in the seven calls with a status byte (ABI reference 1.3). */
function isRecoverable(call: SyscallRow, fault: Fault): boolean {
  if (fault.code === 'too_large' && fault.field !== undefined) return !call.params.some((p) => p.name === fault.field);
  return true;
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
    return new Fault('too_large', text, { field: spec.name });
  }
  return null;
}
