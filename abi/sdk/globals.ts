import * as log from './log.js';
import { decodeUtf8, decodeUtf8Strict, encodeUtf8 } from './utf8.js';

/**
 * The few globals that code written for other runtimes takes for granted and QuickJS lacks. Imported first by
 * `capsule.ts`, so that they are there before any other module of a capsule is evaluated.
 */
interface ConsoleLike {
  log(...values: unknown[]): void;
  debug(...values: unknown[]): void;
  info(...values: unknown[]): void;
  warn(...values: unknown[]): void;
  error(...values: unknown[]): void;
}

/** UTF-8 only. */
class Utf8Encoder {
  readonly encoding = 'utf-8';

  encode(text = ''): Uint8Array {
    return encodeUtf8(text);
  }
}

/** UTF-8 only, whole inputs only; a leading byte order mark is removed unless `ignoreBOM`. */
class Utf8Decoder {
  readonly encoding = 'utf-8';
  readonly fatal: boolean;
  readonly ignoreBOM: boolean;

  constructor(label = 'utf-8', options: { fatal?: boolean; ignoreBOM?: boolean } = {}) {
    if (!/^utf-?8$/i.test(label)) throw new RangeError(`the encoding "${label}" is not supported, only utf-8`);
    this.fatal = options.fatal === true;
    this.ignoreBOM = options.ignoreBOM === true;
  }

  decode(input: Uint8Array | ArrayBuffer = new Uint8Array()): string {
    const bytes = ArrayBuffer.isView(input) ? input : new Uint8Array(input);
    const text = this.fatal ? decodeUtf8Strict(bytes) : decodeUtf8(bytes);
    if (text === undefined) throw new TypeError('the bytes are not UTF-8');
    return !this.ignoreBOM && text.charCodeAt(0) === 0xfeff ? text.slice(1) : text;
  }
}

declare global {
  var console: ConsoleLike;
  var TextEncoder: typeof Utf8Encoder;
  var TextDecoder: typeof Utf8Decoder;
}

function format(value: unknown): string {
  if (typeof value === 'string') return value;
  if (value instanceof Error) return `${value.name}: ${value.message}\n${value.stack ?? ''}`.trimEnd();
  try {
    return JSON.stringify(value) ?? String(value);
  } catch {
    // Cycles and bigint: a log line must not throw.
    return String(value);
  }
}

const line =
  (level: log.LogLevel) =>
  (...values: unknown[]): void =>
    log.log(level, values.map(format).join(' '));

globalThis.console = {
  log: line('info'),
  debug: line('debug'),
  info: line('info'),
  warn: line('warn'),
  error: line('error'),
};
globalThis.TextEncoder = Utf8Encoder;
globalThis.TextDecoder = Utf8Decoder;
