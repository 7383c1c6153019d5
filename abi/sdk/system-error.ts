import type { FaultCode } from '../errno.js';

/**
 * A host call that failed, as an exception a capsule can catch. `code` is one of the closed list in `abi/errno.ts`
 * (`not_found`, `capability_missing`, `approval_denied`, `approval_queued`, `timed_out`, …); compare the code, show the
 * message. A kernel newer than this SDK may send a code that is not in the type.
 */
export class SystemError extends Error {
  override readonly name = 'SystemError';
  readonly code: string;

  constructor(code: FaultCode | (string & Record<never, never>), message: string) {
    super(message);
    this.code = code;
  }
}

/** True when `thrown` is a failed host call, and, with codes given, one with one of these codes. */
export function isSystemError(thrown: unknown, ...codes: FaultCode[]): thrown is SystemError {
  if (!(thrown instanceof SystemError)) return false;
  return codes.length === 0 || (codes as string[]).includes(thrown.code);
}
