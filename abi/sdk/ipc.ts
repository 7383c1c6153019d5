import { call, decodeDecimal, decodeJson, encodeDecimal, encodeJson, encodeText } from './call.js';
import type { IncomingMessage } from './payload.js';

/**
 * The bus. Topics are dot-separated, at most 8 segments and 256 bytes, none empty. What a capsule may publish and
 * subscribe to is the manifest's `[publish]` and `[subscribe]`, where `*` is exactly one segment; a subscription that
 * ends in `.*` then delivers one or more further segments. Refusals: SystemError `capability_missing`,
 * `invalid_argument` (no topic, no pattern, no JSON), `too_large`; with a handle that is not open here, `bad_handle`.
 */
export interface Envelope {
  /** In bus order. */
  readonly messages: readonly IncomingMessage[];
  /** Messages lost because this reply would have passed 10 MiB. */
  readonly dropped: number;
  /** Messages this subscription lost since the last call because its queue (1 MiB) was full. */
  readonly lagged: number;
}

/**
 * Sends a JSON value of at most 5 MiB; 10 MiB per second (`rate_limited`). An object whose `type` is one of the
 * bus's own variants and whose fields fit travels as that variant; anything else travels as `custom` (see `unwrap`).
 */
export function publish(topic: string, payload: unknown): void {
  call('astrid_ipc_publish', encodeText(topic), encodeJson(payload));
}

/** Receives what is published after this call. At most 128 at a time (`quota_exceeded`): close what you no longer need. */
export function subscribe(pattern: string): Subscription {
  return new Subscription(decodeDecimal(call('astrid_ipc_subscribe', encodeText(pattern))), pattern);
}

/** Everything queued now, without waiting. */
export function poll(handle: number): Envelope {
  return decodeJson<Envelope>(call('astrid_ipc_poll', encodeDecimal(handle, 'handle')));
}

/** Waits for a message, at most `timeoutMs` (the kernel clamps to 60,000). Running out of time is an empty envelope. */
export function recv(handle: number, timeoutMs: number): Envelope {
  return decodeJson<Envelope>(
    call('astrid_ipc_recv', encodeDecimal(handle, 'handle'), encodeDecimal(timeoutMs, 'timeoutMs')),
  );
}

/** Throws `bad_handle` for an unknown handle and for one the kernel made for an interceptor. */
export function unsubscribe(handle: number): void {
  call('astrid_ipc_unsubscribe', encodeDecimal(handle, 'handle'));
}

export class Subscription {
  readonly handle: number;
  readonly pattern: string;

  constructor(handle: number, pattern: string) {
    this.handle = handle;
    this.pattern = pattern;
  }

  poll(): Envelope {
    return poll(this.handle);
  }

  recv(timeoutMs: number): Envelope {
    return recv(this.handle, timeoutMs);
  }

  close(): void {
    unsubscribe(this.handle);
  }
}
