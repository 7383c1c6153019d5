/** The layer that settled an action, in the order of the gate (design section 5). */
export type GateLayer = 'manifest' | 'policy' | 'token' | 'budget' | 'approval' | 'audit' | 'operator' | 'system';

/** Why an action was allowed or denied. `ref` names the token or the approval that carried it. */
export interface Authorization {
  readonly layer: GateLayer;
  readonly verdict: 'allow' | 'deny';
  readonly reason: string;
  readonly ref: string | null;
}

/**
 * What the supervisor asks the auditor to record. The auditor adds index, chain hashes and signature.
 * Never holds a secret or an argument's content: only `argsHash`, a SHA-256 in hex, or null.
 */
export interface AuditEvent {
  /** Milliseconds since the Unix epoch, by the supervisor's clock. */
  readonly time: number;
  readonly session: string | null;
  readonly principal: string;
  /** Capsule that acts; null for the operator and for the kernel itself. */
  readonly capsule: string | null;
  /** A syscall name without its prefix (`write_file`) or a dotted kernel action (`capsule.start`). */
  readonly action: string;
  /** What is acted on: a path with its scheme, a topic, a key, a capsule. At most 1,024 characters. */
  readonly resource: string;
  readonly argsHash: string | null;
  readonly authorization: Authorization;
  /** `accepted`: about to take effect; `done`/`failed`: a result; `denied`: refused; `summary`: many alike. */
  readonly outcome: 'accepted' | 'done' | 'failed' | 'denied' | 'summary';
  /** For `summary`: how many events it stands for. */
  readonly count: number | null;
  /** For `summary`: SHA-256 over the digests of those events. */
  readonly digest: string | null;
}
