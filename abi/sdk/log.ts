import { call, encodeText } from './call.js';

/**
 * Lines in the capsule's log (`astrid logs`). Sent and not waited for. A message is at most 64 KiB; longer ones are cut
 * here instead of ending in `too_large`, because a log line must never be the reason that a capsule fails.
 */
export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error';

/** UTF-8 needs up to 3 bytes per UTF-16 unit, so this many always fit 64 KiB. */
const MESSAGE_CHARS_MAX = 21_000;

export function log(level: LogLevel, message: string): void {
  const cut = message.length > MESSAGE_CHARS_MAX ? `${message.slice(0, MESSAGE_CHARS_MAX)} […]` : message;
  call('astrid_log', encodeText(level), encodeText(cut));
}

export function trace(message: string): void {
  log('trace', message);
}

export function debug(message: string): void {
  log('debug', message);
}

export function info(message: string): void {
  log('info', message);
}

export function warn(message: string): void {
  log('warn', message);
}

export function error(message: string): void {
  log('error', message);
}
