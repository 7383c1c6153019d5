import type { Fault } from '../../abi/errno.js';
import type { Actor, BusMessage } from '../../bus/message.js';

/** One export call of a capsule: who it acts for, and what ends it early. */
export interface Invocation {
  readonly exportName: string;
  readonly input: Buffer;
  /** The principal and session that everything done inside follows. */
  readonly actor: Actor;
  /** The message that triggered it, for `get_caller` and for reports; null for run loops, hooks and restarts. */
  readonly message: BusMessage | null;
  /** What it is, in words for `ps` and the log: a topic, `run`, a hook. */
  readonly label: string;
  /** Wall-clock bound in milliseconds, null for run loops. */
  readonly wallMs: number | null;
}

export type InvocationOutcome =
  | { readonly kind: 'done'; readonly returnCode: number; readonly output: Buffer; readonly error: string }
  | { readonly kind: 'failed'; readonly fault: Fault };
