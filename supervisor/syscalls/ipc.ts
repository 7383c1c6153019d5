import { Fault } from '../../abi/errno.js';
import { LIMITS } from '../../abi/limits.js';
import { parsePattern, parseTopic } from '../../bus/topic.js';
import { type CallContext, decodeDecimal, decodeJson, decodeText, EMPTY, type SyscallHandler } from './handler.js';

/** The bus as one capsule sees it. Access lists, limits and rates are the router's. */
export interface BusService {
  /** The payload is JSON text; it is parsed after every other check. A promise is the queue's backpressure. */
  publish(capsule: string, topic: string, payload: Buffer, context: CallContext): undefined | Promise<void>;
  mayPublish(capsule: string, topic: string): boolean;
  maySubscribe(capsule: string, pattern: string): boolean;
  subscribe(capsule: string, pattern: string): number;
  unsubscribe(capsule: string, handle: number): void;
  /** Everything queued now, as the envelope's JSON (ABI reference 4.1). */
  poll(capsule: string, handle: number): Buffer;
  /** The pattern behind a handle, for people. */
  patternOf(capsule: string, handle: number): string;
  onReady(capsule: string, handle: number, wake: () => void): () => void;
}

export interface HookService {
  /** Calls the capsules that intercept the topic and gathers what they answered, as a JSON list (ABI reference 2.11). */
  trigger(topic: string, payload: unknown, context: CallContext): Promise<Buffer>;
  mayTrigger(capsule: string, topic: string): boolean;
}

/** The envelope of an empty queue that lost nothing. */
const NOTHING = Buffer.from('{"messages":[],"dropped":0,"lagged":0}');

/** What is no topic is told so before anybody asks whether it may be used (ABI reference 2.2, check order). */
function takeTopic(topic: string): string {
  parseTopic(topic, 'guest');
  return topic;
}

function takePattern(pattern: string): string {
  parsePattern(pattern, 'guest');
  return pattern;
}

interface HandleRequest {
  readonly handle: number;
}

const byHandle: Pick<SyscallHandler<HandleRequest>, 'decode' | 'resource'> = {
  decode: ([handle]) => ({ handle: decodeDecimal(handle, 'handle') }),
  resource: ({ handle }) => `subscription:${handle}`,
};

export function makeIpcHandlers(bus: BusService, hooks: HookService) {
  return {
    astrid_ipc_publish: makePublish(bus),
    astrid_ipc_subscribe: {
      decode: ([pattern]) => ({ pattern: takePattern(decodeText(pattern, 'pattern')) }),
      resource: ({ pattern }) => pattern,
      covers: ({ pattern }, { endpoint }) => bus.maySubscribe(endpoint, pattern),
      run: ({ pattern }, { endpoint }) => Buffer.from(String(bus.subscribe(endpoint, pattern))),
    } satisfies SyscallHandler<{ pattern: string }>,
    astrid_ipc_unsubscribe: {
      ...byHandle,
      run: ({ handle }, { endpoint }) => {
        bus.unsubscribe(endpoint, handle);
        return EMPTY;
      },
    } satisfies SyscallHandler<HandleRequest>,
    astrid_ipc_poll: {
      ...byHandle,
      run: ({ handle }, { endpoint }) => bus.poll(endpoint, handle),
    } satisfies SyscallHandler<HandleRequest>,
    astrid_ipc_recv: makeReceive(bus),
    astrid_trigger_hook: makeTrigger(hooks),
  };
}

function makePublish(bus: BusService): SyscallHandler<{ topic: string; payload: Buffer }> {
  return {
    decode: ([topic, payload]) => ({ topic: takeTopic(decodeText(topic, 'topic')), payload: payload ?? EMPTY }),
    resource: ({ topic }) => topic,
    covers: ({ topic }, { endpoint }) => bus.mayPublish(endpoint, topic),
    run: ({ topic, payload }, context) => {
      const backpressure = bus.publish(context.endpoint, topic, payload, context);
      return backpressure === undefined ? EMPTY : backpressure.then(() => EMPTY);
    },
  };
}

function makeReceive(bus: BusService): SyscallHandler<HandleRequest & { timeoutMs: number }> {
  return {
    decode: ([handle, timeout]) => ({
      handle: decodeDecimal(handle, 'handle'),
      timeoutMs: Math.min(decodeDecimal(timeout, 'timeout_ms'), LIMITS.ipcRecvWaitMsMax),
    }),
    resource: byHandle.resource,
    run: ({ handle, timeoutMs }, context) => {
      const queued = bus.poll(context.endpoint, handle);
      // One that is being stopped would be heard of no more: its end was told before it began to wait.
      if (timeoutMs === 0 || context.cancel.aborted || !queued.equals(NOTHING)) return queued;
      return receive(bus, handle, timeoutMs, context);
    },
  };
}

/** Waits for a message, the time-out, or the capsule's end; the last two are an empty envelope and not an error. */
function receive(bus: BusService, handle: number, timeoutMs: number, context: CallContext): Promise<Buffer> {
  const { endpoint, cancel } = context;
  context.setWaiting(`ipc_recv ${bus.patternOf(endpoint, handle)}`);
  return new Promise((resolve, reject) => {
    const settle = () => {
      clearTimeout(timer);
      forget();
      cancel.removeEventListener('abort', settle);
      context.setWaiting('');
      try {
        resolve(bus.poll(endpoint, handle));
      } catch (error) {
        reject(error);
      }
    };
    const timer = setTimeout(settle, timeoutMs);
    const forget = bus.onReady(endpoint, handle, settle);
    cancel.addEventListener('abort', settle, { once: true });
  });
}

function makeTrigger(hooks: HookService): SyscallHandler<{ hook: string; payload: unknown }> {
  return {
    decode: ([request]) => {
      const value = decodeJson(request, 'request');
      const hook: unknown = typeof value === 'object' && value !== null ? Reflect.get(value, 'hook') : undefined;
      if (typeof hook !== 'string')
        throw new Fault('invalid_argument', 'hook is missing or not text', { field: 'hook' });
      parseTopic(hook, 'host', 'hook');
      return { hook, payload: Reflect.get(value as object, 'payload') ?? null };
    },
    resource: ({ hook }) => `hook:${hook}`,
    covers: ({ hook }, { endpoint }) => hooks.mayTrigger(endpoint, hook),
    run: async ({ hook, payload }, context) => {
      context.setWaiting(`hook ${hook}`);
      try {
        return await hooks.trigger(hook, payload, context);
      } finally {
        context.setWaiting('');
      }
    },
  };
}
