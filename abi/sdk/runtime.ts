import { call, decodeJson } from './call.js';

/** Who the running invocation acts for. All undefined outside one that a message caused (run loop, restart, hooks). */
export interface Caller {
  readonly principal: string | undefined;
  /** UUID of the instance or client that sent the message. */
  readonly sourceId: string | undefined;
  /** RFC 3339. */
  readonly timestamp: string | undefined;
  /** The conversation, where the kernel tells it. */
  readonly sessionId: string | undefined;
}

export interface InterceptorHandle {
  /** Use with `ipc.poll` and `ipc.recv`; it cannot be closed. */
  readonly handle: number;
  readonly action: string;
  readonly topic: string;
}

export function caller(): Caller {
  const raw = decodeJson<Record<string, unknown>>(call('astrid_get_caller'));
  const field = (name: string) => (typeof raw[name] === 'string' ? (raw[name] as string) : undefined);
  return {
    principal: field('principal'),
    sourceId: field('source_id'),
    timestamp: field('timestamp'),
    sessionId: field('session_id'),
  };
}

/** Tells the kernel that a capsule with a run loop can take messages. Nothing happens for other capsules. */
export function signalReady(): void {
  call('astrid_signal_ready');
}

/** The subscriptions the kernel made for a run loop's interceptors; empty for a capsule without `run`. */
export function interceptorHandles(): InterceptorHandle[] {
  const rows = decodeJson<{ handle_id: number; action: string; topic: string }[]>(
    call('astrid_get_interceptor_handles'),
  );
  return rows.map((row) => ({ handle: row.handle_id, action: row.action, topic: row.topic }));
}
