import { setWaiter } from './event-loop.js';
import type { InterceptorHandler } from './interceptor.js';
import { poll, recv, type Subscription, subscribe } from './ipc.js';
import { type IncomingMessage, unwrap } from './payload.js';
import { interceptorHandles } from './runtime.js';

/**
 * A run loop without a loop: say what to listen to, then `return forever()` from `run`. Messages and timers come in turn,
 * handlers may be async, and the first one that fails ends the loop, so that the kernel restarts the capsule:
 *
 *   run() {
 *     listen('chat.v1.said', (message) => …);
 *     setInterval(tidyUp, 60_000);
 *     runtime.signalReady();
 *     return forever();
 *   }
 */
export type MessageHandler = (message: IncomingMessage, losses: Losses) => void | Promise<void>;

export interface Losses {
  /** Messages this source lost because one reply would have passed 10 MiB. */
  readonly dropped: number;
  /** Messages it lost because its queue (1 MiB) was full. */
  readonly lagged: number;
}

export interface Listening {
  stop(): void;
}

interface Source {
  readonly handle: number;
  readonly deliver: MessageHandler;
}

/** With several sources the kernel cannot be asked to wait for all: each is waited for this long, in turn. */
const SLICE_MS = 100;
/** The kernel clamps to 60 s; half of it keeps a watchdog content. */
const WAIT_MS_MAX = 30_000;

const sources: Source[] = [];
let turn = 0;
let failed: ((reason: unknown) => void) | undefined;
let failure: { readonly reason: unknown } | undefined;

/** Hands each message of a topic pattern (or of a subscription) to a handler, in bus order. Needs `[subscribe]`. */
export function listen(from: string | Subscription, handler: MessageHandler): Listening {
  const subscription = typeof from === 'string' ? subscribe(from) : from;
  const source = add({ handle: subscription.handle, deliver: handler });
  return {
    stop() {
      remove(source);
      if (typeof from === 'string') subscription.close();
    },
  };
}

/**
 * Serves the manifest's interceptors in a capsule with `run`, by action; the kernel does not call `astrid_hook_trigger`
 * there. The payload is unwrapped, as elsewhere. An answer goes nowhere: a run loop cannot change a chain.
 * Throws for an interceptor of the manifest that has no handler.
 */
export function serveInterceptors(handlers: Readonly<Record<string, InterceptorHandler>>): void {
  for (const { handle, action } of interceptorHandles()) {
    const handler = Object.hasOwn(handlers, action) ? handlers[action] : undefined;
    if (handler === undefined) throw new Error(`the manifest's interceptor ${action} has no handler`);
    const deliver = async (message: IncomingMessage): Promise<void> => {
      await handler(unwrap(message.payload), { action, input: new Uint8Array() });
    };
    add({ handle, deliver });
  }
}

/** What `run` returns: a promise that is never fulfilled, and rejected with what a handler throws. */
export function forever(): Promise<never> {
  return new Promise((_resolve, reject) => {
    failed = reject;
    if (failure !== undefined) reject(failure.reason);
  });
}

function add(source: Source): Source {
  sources.push(source);
  setWaiter(wait);
  return source;
}

function remove(source: Source): void {
  const at = sources.indexOf(source);
  if (at >= 0) sources.splice(at, 1);
  if (sources.length === 0) setWaiter(undefined);
}

/** Takes what is queued anywhere; when there is nothing, waits at one source, the next one in turn. */
function wait(ms: number): boolean {
  const several = sources.length > 1;
  let came = false;
  if (several) for (const source of [...sources]) came = take(source, poll(source.handle)) || came;
  if (came) return true;
  const source = sources[turn++ % sources.length];
  if (source === undefined) return false;
  const most = several ? SLICE_MS : WAIT_MS_MAX;
  return take(source, recv(source.handle, Math.ceil(Math.min(ms, most))));
}

function take(source: Source, envelope: ReturnType<typeof poll>): boolean {
  const { dropped, lagged } = envelope;
  let losses: Losses = { dropped, lagged };
  for (const message of envelope.messages) {
    deliver(source, message, losses);
    losses = { dropped: 0, lagged: 0 };
  }
  return envelope.messages.length > 0;
}

function deliver(source: Source, message: IncomingMessage, losses: Losses): void {
  try {
    const result = source.deliver(message, losses);
    if (result instanceof Promise) result.catch(fail);
  } catch (reason) {
    fail(reason);
  }
}

function fail(reason: unknown): void {
  failure ??= { reason };
  failed?.(reason);
}
