import type { AbiGeneration } from './manifest.js';

/**
 * The worker's two descriptors: what it sends, and what it waits for. With one for both, the system wakes a worker that waits for
 * its reply already when its request is read, for nothing: 3 µs of each call.
 */
export const WORKER_DESCRIPTORS = { output: 3, input: 4 } as const;

/**
 * Frames on these descriptors, between the supervisor and one worker. Each is a msgpack array whose first element is
 * the kind. The worker is synchronous: the supervisor sends `load`, then one `invoke` at a time; while an invocation
 * runs the worker sends `call` frames and blocks until the `reply`. Anything else from a worker ends it.
 */
export const TO_WORKER = {
  /** [1, LoadRequest] */
  load: 1,
  /** [2, invocationId, exportName, input, callerJson] */
  invoke: 2,
  /** [3, callId, 0, value] or [3, callId, 1, code, message] */
  reply: 3,
  /** [4, milliseconds]: the guest's clock is that far ahead from now on. Only `astrid capsule test` sends it. */
  clock: 4,
} as const;

export const FROM_WORKER = {
  /** [1, LoadReport] */
  loaded: 1,
  /** [2, code, message] */
  loadFailed: 2,
  /** [3, callId, syscallNumber, ...arguments as bytes] */
  call: 3,
  /** [4, invocationId, returnCode, output, errorText] */
  done: 4,
  /** [5, level, message]: one way */
  log: 5,
  /** [6]: `signal_ready`, one way */
  ready: 6,
  /** [7, invocationId, code, message]: the guest trapped */
  trapped: 7,
} as const;

export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** An auto-subscribed interceptor of a run-loop capsule, as `get_interceptor_handles` tells it (ABI reference 2.11). */
export interface InterceptorHandle {
  readonly handle_id: number;
  readonly action: string;
  readonly topic: string;
}

export interface LoadRequest {
  readonly wasm: Uint8Array;
  readonly generation: AbiGeneration;
  readonly memoryPages: number;
  /** Bound on host-side blocks and variables, in bytes; counted together with linear memory against the limit. */
  readonly blockBytesMax: number;
  readonly config: Readonly<Record<string, string>>;
  readonly handles: readonly InterceptorHandle[];
  /** Lines below this level are dropped in the worker. */
  readonly logLevel: LogLevel;
}

export interface LoadReport {
  readonly exports: readonly string[];
}
