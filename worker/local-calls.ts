import { LOG_LEVELS, type LoadRequest, type LogLevel } from '../abi/worker-protocol.js';
import type { SyscallClient } from './syscall-client.js';

/** What the worker knows of the running invocation without asking. */
export interface InvocationContext {
  /** JSON of `get_caller`, or null outside a message-triggered call. */
  callerJson: string | null;
}

export type LocalHandler = (args: readonly Buffer[]) => Buffer;

const NO_CALLER = '{}';
const ALIASES: Readonly<Record<string, LogLevel>> = { warning: 'warn', err: 'error' };
const EMPTY = Buffer.alloc(0);

/** Levels are case-insensitive, `warning` and `err` are accepted, anything else is info (ABI reference 2.11). */
function parseLogLevel(text: string): LogLevel {
  const lower = text.toLowerCase();
  return LOG_LEVELS.find((level) => level === lower) ?? ALIASES[lower] ?? 'info';
}

/** The calls that need no privilege, by name. They never leave the worker, or leave it without waiting. */
export function makeLocalCalls(
  load: LoadRequest,
  client: SyscallClient,
  context: InvocationContext,
  now: () => number,
  quotesConfig: boolean = load.generation === 1,
): Readonly<Record<string, LocalHandler>> {
  const handles = Buffer.from(JSON.stringify(load.handles));
  const threshold = LOG_LEVELS.indexOf(load.logLevel);
  return {
    astrid_clock_ms: () => Buffer.from(String(now())),
    astrid_get_config: ([key]) => {
      const name = (key ?? EMPTY).toString('utf8');
      const value = Object.hasOwn(load.config, name) ? load.config[name] : undefined;
      if (value === undefined) return EMPTY;
      // SDKs up to 0.4 parse a JSON string; later ones take the text as it is (ABI reference 2.8).
      return Buffer.from(quotesConfig ? JSON.stringify(value) : value);
    },
    astrid_get_caller: () => Buffer.from(context.callerJson ?? NO_CALLER),
    astrid_get_interceptor_handles: () => handles,
    astrid_log: ([level, message]) => {
      const parsed = parseLogLevel((level ?? EMPTY).toString('utf8'));
      if (LOG_LEVELS.indexOf(parsed) >= threshold) client.sendLog(parsed, (message ?? EMPTY).toString('utf8'));
      return EMPTY;
    },
    astrid_signal_ready: () => {
      client.sendReady();
      return EMPTY;
    },
  };
}
