/**
 * The closed list of error codes. A code is what programs compare; a message is what people read.
 * Codes cross process boundaries and are part of the ABI: never renamed, never reused.
 */
export const FAULT_CODES = [
  // what the caller sent
  'invalid_argument',
  'too_large',
  'not_found',
  'already_exists',
  'not_a_directory',
  'is_a_directory',
  'not_empty',
  'escapes_root',
  'bad_handle',
  'not_supported',
  // what the gate answers
  'capability_missing',
  'policy_denied',
  'approval_denied',
  'approval_queued',
  'over_budget',
  'audit_unavailable',
  // limits
  'quota_exceeded',
  'rate_limited',
  'no_space',
  'out_of_memory',
  'timed_out',
  // life of a capsule
  'cancelled',
  'crashed',
  'not_ready',
  'not_served',
  'tier_unavailable',
  'bad_manifest',
  'bad_module',
  'bad_hash',
  'bad_archive',
  'in_use',
  'plan_changed',
  'unmet_import',
  'import_cycle',
  // the wire
  'bad_frame',
  'frame_too_large',
  'bad_token',
  'bad_protocol',
  'connection_closed',
  // the machine
  'already_running',
  'not_running',
  'bad_home',
  'bad_config',
  'io_error',
  // the log
  'bad_log',
  'bad_proof',
  // overlay
  'conflict',
  // ours
  'internal',
] as const;

export type FaultCode = (typeof FAULT_CODES)[number];

const KNOWN: ReadonlySet<string> = new Set(FAULT_CODES);

export function isFaultCode(value: unknown): value is FaultCode {
  return typeof value === 'string' && KNOWN.has(value);
}

/**
 * The one error class of the system. `field` names the part of the input that is at fault, when there is one.
 * A message that may reach a guest never holds a host path, an address, or another capsule's name.
 */
export class Fault extends Error {
  override readonly name = 'Fault';
  readonly code: FaultCode;
  readonly field: string | undefined;

  constructor(code: FaultCode, message: string, options: { field?: string; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.field = options.field;
  }
}

/** Any thrown value as a Fault. What is not a Fault already is ours to answer for: `internal`. */
export function asFault(thrown: unknown): Fault {
  if (thrown instanceof Fault) return thrown;
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return new Fault('internal', message, { cause: thrown });
}

/** Process exit codes of `astrid`. Documented in the README; a script compares these. */
export const EXIT = {
  ok: 0,
  failed: 1,
  usage: 2,
  notRunning: 3,
  denied: 4,
  queued: 5,
  overBudget: 6,
  timedOut: 7,
  badLog: 8,
  interrupted: 130,
} as const;

const EXIT_BY_CODE: Partial<Record<FaultCode, number>> = {
  invalid_argument: EXIT.usage,
  not_running: EXIT.notRunning,
  connection_closed: EXIT.notRunning,
  bad_token: EXIT.notRunning,
  capability_missing: EXIT.denied,
  policy_denied: EXIT.denied,
  approval_denied: EXIT.denied,
  approval_queued: EXIT.queued,
  over_budget: EXIT.overBudget,
  timed_out: EXIT.timedOut,
  bad_log: EXIT.badLog,
  bad_proof: EXIT.badLog,
};

export function exitCodeOf(code: FaultCode): number {
  return EXIT_BY_CODE[code] ?? EXIT.failed;
}
