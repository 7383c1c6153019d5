import type { ProcessState } from '../../abi/control.js';
import type { Fault } from '../../abi/errno.js';
import type { Tier } from '../../abi/manifest.js';

/** What the process table does for an install. */
export interface CapsuleRunner {
  /** The tier a capsule would run in. @throws Fault `tier_unavailable` */
  tierOf(name: string, hash: string): Tier;
  stateOf(name: string): ProcessState | null;
  isDisabled(name: string): boolean;
  /** Hashes of modules that run, or that a restart would load. */
  hashesInUse(): ReadonlySet<string>;
  /**
   * Starts what the store holds under this name, in place of what runs under it. Rejects with why it did not become
   * ready; then what ran before runs again.
   */
  replace(name: string): Promise<void>;
  /** A start in this tier is likely to follow: its process may boot meanwhile. */
  expectStart(tier: Tier): void;
  /** As `expectStart`, for a capsule that runs and is about to be replaced. */
  expectReplacement(name: string): void;
  /** What was expected happened, or will not happen. */
  expectNoStart(): void;
  /** Starts every installed capsule that does not run and can. @returns the names that became ready */
  startWaiting(): Promise<string[]>;
  /** Ends it for good and forgets it. */
  remove(name: string): Promise<void>;
}

export interface InstallAudit {
  /** Resolves when the auditor has it: nothing is changed before. */
  accepted(action: string, resource: string, reason: string): Promise<void>;
  /** How it ended. */
  settled(action: string, resource: string, fault: Fault | null): void;
}
