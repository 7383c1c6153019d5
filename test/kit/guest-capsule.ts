import type { FaultCode } from '../../abi/errno.js';
import type { CapsuleManifest } from '../../abi/manifest.js';
import type { MakeRealm, Realm } from './guest-realm.js';
import type { GuestValues } from './guest-services.js';

/** A message as it was published, and whose it is: the kernel's view, which guests never see. */
export interface Published {
  readonly topic: string;
  /** Tagged. */
  readonly payload: Record<string, unknown>;
  /** As an interceptor gets it. */
  readonly view: unknown;
  /** Null for the kernel and for clients. */
  readonly from: string | null;
  readonly session: string | null;
  readonly seq: number;
}

/** Kill a capsule on a topic: before its code runs, or in the nth host call of a name that it makes for that topic. */
export interface Crash {
  readonly capsule: string;
  readonly topic: string;
  readonly reason?: string;
  readonly at?: { readonly call: string; readonly nth: number };
}

/** Counts over invocations, until it has struck. */
export interface ArmedCrash extends Crash {
  left: number;
}

export interface Invocation {
  readonly capsule: string;
  readonly action: string;
  readonly input: Buffer;
  readonly message: Published | null;
  readonly session: string | null;
}

export interface Capsule {
  readonly name: string;
  readonly manifest: CapsuleManifest;
  readonly script: string;
  readonly values: GuestValues;
  readonly logs: string[];
  realm: Realm;
  starts: number;
  subscriptions: Map<number, { pattern: string; queue: Published[] }>;
  current: Invocation | null;
  crash: ArmedCrash | null;
  dead: boolean;
  /** Being restarted: hooks pass it by, and its messages wait. */
  away: boolean;
}

export interface GuestKernelOptions {
  readonly config?: Readonly<Record<string, Readonly<Record<string, string>>>>;
  /** The answer of the gate to a changing file call, or null to let it pass. */
  readonly gate?: (call: string, path: string) => FaultCode | null;
  /** False: `get_caller` tells no session, as in the original. */
  readonly tellsSession?: boolean;
  /** What capsules run in; a realm of this engine when absent. */
  readonly makeRealm?: MakeRealm;
}
