import { encodeJson, encodeText } from './call.js';
import type { Schema } from './schema.js';

/**
 * What an interceptor answers (ABI reference 3.3). Nothing: the chain goes on with the same payload.
 * A hook (`hooks.trigger`) collects the payloads of `proceed` and `final` alike.
 */
export type InterceptorResult =
  | { readonly kind: 'continue'; readonly payload?: unknown }
  | { readonly kind: 'final'; readonly payload?: unknown }
  | { readonly kind: 'deny'; readonly reason: string };

export interface InterceptorContext {
  /** The action of the manifest that was called. */
  readonly action: string;
  /** The argument bytes as they came. */
  readonly input: Uint8Array;
}

// biome-ignore lint/suspicious/noConfusingVoidType: a handler that returns nothing is the usual one
type Answer = InterceptorResult | undefined | void;

/** The payload is the unwrapped view of ABI reference 4.4, parsed; undefined when there was none. */
export type InterceptorHandler = (payload: unknown, context: InterceptorContext) => Answer | Promise<Answer>;

/** Go on with a new payload, or with the same when none is given. */
export function proceed(payload?: unknown): InterceptorResult {
  return payload === undefined ? { kind: 'continue' } : { kind: 'continue', payload };
}

/** Stop the chain; the payload is its answer. */
export function final(payload?: unknown): InterceptorResult {
  return payload === undefined ? { kind: 'final' } : { kind: 'final', payload };
}

/** Stop the chain and refuse; the reason is for people. */
export function deny(reason: string): InterceptorResult {
  return { kind: 'deny', reason };
}

/**
 * A handler whose payload is checked first. A payload that does not fit fails the invocation with a SchemaError, which
 * the kernel logs; the chain goes on without this capsule (unless its manifest says `fail = "closed"`).
 */
export function on<T>(
  schema: Schema<T>,
  handler: (payload: T, context: InterceptorContext) => Answer | Promise<Answer>,
): InterceptorHandler {
  return (payload, context) => handler(schema.parse(payload, 'payload'), context);
}

const CODES = { continue: 0, final: 1, deny: 2 } as const;

export function encodeResult(result: Answer): Uint8Array | undefined {
  if (result === undefined) return undefined;
  if (result.kind === 'deny') return prefix(CODES.deny, encodeText(result.reason));
  if (result.payload === undefined) return result.kind === 'continue' ? undefined : prefix(CODES.final);
  return prefix(CODES[result.kind], encodeJson(result.payload));
}

function prefix(code: number, rest: Uint8Array = new Uint8Array()): Uint8Array {
  const out = new Uint8Array(rest.length + 1);
  out[0] = code;
  out.set(rest, 1);
  return out;
}
