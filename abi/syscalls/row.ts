import type { CapabilityName } from '../capabilities.js';
import type { FaultCode } from '../errno.js';

/** What the bytes of one argument are, and how many of them are accepted (ABI reference 1.2 and 1.6). */
export interface ParamRow {
  readonly name: string;
  /** `text`: UTF-8; `decimal`: ASCII digits; `json`: a UTF-8 JSON value; `bytes`: opaque. */
  readonly kind: 'text' | 'decimal' | 'json' | 'bytes';
  readonly bytesMax: number;
}

/**
 * One host call. The worker's imports, the supervisor's dispatch, the guest SDK, the conformance tests and
 * the reference page all read this row; nothing else defines a call.
 */
export interface SyscallRow {
  /** Upstream's registry index, and the number on the wire. Never reused. */
  readonly number: number;
  /** Import name in module `extism:host/user`. */
  readonly name: string;
  readonly params: readonly ParamRow[];
  /** `void` calls return nothing in generations 1 and 2. */
  readonly returns: 'void' | 'text' | 'decimal' | 'json' | 'bytes' | 'bool';
  /** One of the seven calls whose generation 2 result carries a status byte (ABI reference 1.3). */
  readonly hostResult: boolean;
  /** Manifest capability that must be present, or null when any capsule may call. */
  readonly capability: CapabilityName | null;
  /** True when the call may wait for someone else: it parks in the supervisor and unloading answers `cancelled`. */
  readonly blocking: boolean;
  /** `supervisor`: one round trip; `one-way`: sent and not waited for; `worker`: answered in the worker. */
  readonly path: 'supervisor' | 'one-way' | 'worker';
  /** Design section 6. `before`: acknowledged by the auditor before the effect; `with`: in order, not awaited. */
  readonly audit: 'before' | 'with' | 'none';
  /** Gives out what stands at its resource. However many there are in a second, the log names the directory of each. */
  readonly traced: boolean;
  /** What the call itself may answer, sorted. What the gate says of any call is in `GATE_CODES` and not repeated. */
  readonly errors: readonly FaultCode[];
  /** First version that serves the call; null: known, not served yet, and a module that imports it does not load. */
  readonly since: string | null;
}

/**
 * What any call that the supervisor serves may answer besides, and no row repeats unless the call has a reason of its own: decisions
 * of the gate and of the people it asks (`cancelled` and `rate_limited` are ends of such a question), the log, which takes so many
 * entries of a capsule (`rate_limited`), and our own mistakes.
 */
export const GATE_CODES: readonly FaultCode[] = [
  'approval_denied',
  'approval_queued',
  'audit_unavailable',
  'cancelled',
  'internal',
  'over_budget',
  'policy_denied',
  'rate_limited',
];

export const param = (name: string, kind: ParamRow['kind'], bytesMax: number): ParamRow => ({ name, kind, bytesMax });

type RowInit = Pick<SyscallRow, 'number' | 'name' | 'errors'> & Partial<SyscallRow>;

/** A row with the defaults of most calls spelled once. */
export const row = (init: RowInit): SyscallRow => ({
  params: [],
  returns: 'void',
  hostResult: false,
  capability: null,
  blocking: false,
  path: 'supervisor',
  audit: 'with',
  traced: false,
  since: null,
  ...init,
});
