import { isUtf8 } from 'node:buffer';
import { asFault, Fault } from '../../abi/errno.js';
import type { CapsuleManifest } from '../../abi/manifest.js';
import type { Actor } from '../../bus/message.js';
import { parsePayload } from '../../bus/payload-json.js';

/** Who calls, on whose behalf, and what ends the call early. Made by the dispatcher from the process, never from arguments. */
export interface CallContext {
  readonly capsule: string;
  /** Which install of that name it is: what people allowed to another one is not allowed to it. */
  readonly install: string;
  /** The instance's place on the bus: the capsule's name, but for an instance that runs beside it. */
  readonly endpoint: string;
  readonly manifest: CapsuleManifest;
  /** UUID of the running instance, new at every load: whatever belongs to an instance and not to the capsule is kept under it. */
  readonly sourceId: string;
  /** `install` and `upgrade`: the lifecycle export of that name runs. Everything else is `normal`. */
  readonly phase: 'normal' | 'install' | 'upgrade';
  /** The invocation's actor: a KV key, a home directory and a reply follow it. */
  readonly actor: Actor;
  readonly cancel: AbortSignal;
  /** The tool call that the invocation serves, as its request names it; null outside of one. */
  readonly toolCallId: string | null;
  /**
   * Asks the gate's fixed layers again, about where a path really leads. Throws the Fault of a layer that refuses it: a link is
   * no way around a grant or a block.
   */
  recheck(resource: string, covered: boolean): void;
  /**
   * The same question about another place that a call is being led to (a redirect), which then has its own entry in the log,
   * acknowledged before this resolves. False, and no entry, where a person would have to be asked.
   */
  follow(resource: string, covered: boolean): Promise<boolean>;
  /** Says what the call waits on, for `ps`; an empty text ends the wait. */
  setWaiting(what: string): void;
  /** Stops the invocation's clock while a person is asked. */
  pauseClock(): void;
  resumeClock(): void;
}

/**
 * One host call, in the order in which it is served: everything is decoded before anything is decided, and decided
 * before anything happens.
 */
export interface SyscallHandler<Request> {
  /** Arguments to a request, or a Fault that names the argument. Sizes were checked by the row. */
  decode(args: readonly Buffer[]): Request;
  /** What is acted on, for the gate, the person who is asked, and the log. */
  resource(request: Request): string;
  /** What the resource is relative to, where its text alone does not say: the workspace of a `cwd://` path. */
  scope?(request: Request, context: CallContext): string | undefined;
  /** Whether the manifest's list for the call's capability covers it. Absent: the capability's presence is enough. */
  covers?(request: Request, context: CallContext): boolean;
  /**
   * Refuses what cannot be served whatever anybody says: the wrong moment, one question too many. Called before the gate asks and
   * before the log has an entry of its own for the call, so that a loop of such calls fills no disk: a refusal is a denial, and
   * denials are summarised. Throws Fault.
   */
  admit?(request: Request, context: CallContext): void;
  /** Lines that tell a person what would happen. Made only when somebody is asked. */
  preview?(request: Request, context: CallContext): Promise<string[]>;
  run(request: Request, context: CallContext): Buffer | Promise<Buffer>;
  /**
   * Calls that tell failures inside their JSON (mark J of the ABI reference): what the guest reads in place of the Fault, or null
   * where even such a call ends in an error. Does not throw.
   */
  explain?(fault: Fault): Buffer | null;
}

export const EMPTY = Buffer.alloc(0);

/**
 * UTF-8 text as it is, a byte order mark in front included: without it two keys would be one. Throws Fault `invalid_argument`
 * naming the parameter.
 */
export function decodeText(bytes: Buffer = EMPTY, field: string): string {
  if (!isUtf8(bytes)) throw new Fault('invalid_argument', `${field} is not valid UTF-8`, { field });
  return bytes.toString('utf8');
}

/** A decimal number as ASCII digits (ABI reference 1.2); zeros in front do not count. */
export function decodeDecimal(bytes: Buffer | undefined, field: string): number {
  const text = (bytes ?? EMPTY).toString('latin1');
  const value = /^0*[0-9]{1,15}$/.test(text) ? Number(text) : Number.NaN;
  if (!Number.isSafeInteger(value)) throw new Fault('invalid_argument', `${field} is not a decimal number`, { field });
  return value;
}

/** A JSON value, of bounded depth and size: what a guest sends must not stop the kernel's loop or overflow its stack. */
export function decodeJson(bytes: Buffer | undefined, field: string): unknown {
  try {
    return parsePayload(bytes ?? EMPTY);
  } catch (error) {
    const fault = asFault(error);
    if (fault.code === 'internal') throw fault;
    throw new Fault(fault.code, `${field}: ${fault.message}`, { field, cause: error });
  }
}

export function encodeJson(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value));
}
