import type { Authorization, GateLayer } from '../../abi/audit-event.js';
import type { ApprovalMode } from '../../abi/control.js';
import type { Fault } from '../../abi/errno.js';
import type { CapsuleManifest } from '../../abi/manifest.js';
import type { SyscallRow } from '../../abi/syscalls/row.js';

/** What the gate needs to know about a kind of action: a row of the syscall table, or the same three facts of a kernel action. */
export type ActionKind = Pick<SyscallRow, 'name' | 'capability' | 'audit'>;

/** One thing a capsule wants done, with everything decoded. Made by the kernel, never by a guest. */
export interface Action {
  readonly call: ActionKind;
  /** A syscall without its prefix (`write_file`) or a dotted kernel action (`capsule.start`): as the audit names it. */
  readonly name: string;
  readonly manifest: CapsuleManifest;
  readonly capsule: string;
  /** Which install of the capsule's name acts. */
  readonly install: string;
  readonly principal: string;
  readonly session: string | null;
  /**
   * What is acted on, in its one canonical form (`cwd://notes.txt`) and whole: rules match it and an approval is bound
   * to it, so a cut text would let two things pass for one.
   */
  readonly resource: string;
  /**
   * What the resource is relative to, when the text alone does not say (the workspace of a `cwd://` path). Without it
   * a stored approval holds in its own session only.
   */
  readonly scope?: string;
  /** Whether the manifest's list for the call's capability covers the resource; null where that is not asked. */
  readonly covered: boolean | null;
  /** SHA-256 in hex over the name and all arguments. */
  readonly argsHash: string;
  readonly argBytes: number;
  /** Lines that tell a person what would happen. Called only when somebody is asked. */
  detail(): Promise<readonly string[]>;
  readonly risk: string;
  /** Aborts when the capsule is being stopped: a pending question is withdrawn. */
  readonly cancel?: AbortSignal;
}

export interface Context {
  readonly mode: ApprovalMode;
}

/** The gate's last word. `approvalId` is the question that was asked or queued, if there was one. */
export interface Decision {
  readonly verdict: 'allow' | 'deny';
  readonly authorization: Authorization;
  readonly fault: Fault | null;
  readonly approvalId: string | null;
}

/**
 * What one layer says. `pass`: nothing against it. `allow`: nothing against it, and this is why. `deny` ends the
 * pipeline. `ask`: a person must say. No verdict of one layer overrides a `deny` of another.
 */
export type Verdict =
  | { readonly kind: 'pass' }
  | { readonly kind: 'allow'; readonly decision: Decision }
  | { readonly kind: 'deny'; readonly decision: Decision }
  /** `why`: the rule that wants a person to say, in words for that person. */
  | { readonly kind: 'ask'; readonly onceOnly: boolean; readonly why: string };

/** One layer of the gate. Synchronous: what needs a person answers `ask`, and the gate does the waiting. */
export interface Layer {
  readonly name: GateLayer;
  judge(action: Action, context: Context): Verdict;
}

export const PASS: Verdict = Object.freeze({ kind: 'pass' });

/** Verdicts carry a finished decision, so that a layer which always says the same allocates it once. */
export function allow(layer: GateLayer, reason: string, ref: string | null = null): Verdict {
  return Object.freeze({ kind: 'allow', decision: allowed(layer, reason, ref) });
}

/** `reason` is for the log, when it says more than the guest should read in the fault. */
export function deny(layer: GateLayer, fault: Fault, reason: string = fault.message): Verdict {
  return Object.freeze({ kind: 'deny', decision: denied(layer, fault, null, reason) });
}

export function allowed(layer: GateLayer, reason: string, ref: string | null = null): Decision {
  const authorization: Authorization = Object.freeze({ layer, verdict: 'allow', reason, ref });
  return Object.freeze({ verdict: 'allow', authorization, fault: null, approvalId: ref });
}

export function denied(layer: GateLayer, fault: Fault, ref: string | null, reason: string = fault.message): Decision {
  const authorization: Authorization = Object.freeze({ layer, verdict: 'deny', reason, ref });
  return Object.freeze({ verdict: 'deny', authorization, fault, approvalId: ref });
}
