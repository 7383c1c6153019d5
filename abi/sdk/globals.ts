import * as log from './log.js';
import { describe } from './sandbox.js';
import { concatBytes, decodeUtf8, decodeUtf8Strict, encodeUtf8, unfinishedBytes } from './utf8.js';
import type { WebNames } from './web.js';

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

  /** Whole characters only; `read` counts UTF-16 units, `written` bytes. */
  encodeInto(text: string, target: Uint8Array): { read: number; written: number } {
    const all = encodeUtf8(text);
    if (all.length <= target.length) {
      target.set(all);
      return { read: text.length, written: all.length };
    }
    let written = target.length;
    while (written > 0 && ((all[written] ?? 0) & 0xc0) === 0x80) written--;
    const part = all.subarray(0, written);
    target.set(part);
    return { read: decodeUtf8(part).length, written };
  }
}

interface DecodeOptions {
  /** True: more follows; a character that is not whole is kept for the next call. */
  readonly stream?: boolean;
}

/** UTF-8 only; a leading byte order mark is removed unless `ignoreBOM`. */
class Utf8Decoder {
  readonly encoding = 'utf-8';
  readonly fatal: boolean;
  readonly ignoreBOM: boolean;
  #kept: Uint8Array = new Uint8Array();
  #started = false;

  constructor(label = 'utf-8', options: { fatal?: boolean; ignoreBOM?: boolean } = {}) {
    if (!/^utf-?8$/i.test(label)) throw new RangeError(`the encoding "${label}" is not supported, only utf-8`);
    this.fatal = options.fatal === true;
    this.ignoreBOM = options.ignoreBOM === true;
  }

  decode(input: ArrayBufferView | ArrayBuffer = new Uint8Array(), { stream = false }: DecodeOptions = {}): string {
    const given = ArrayBuffer.isView(input)
      ? new Uint8Array(input.buffer, input.byteOffset, input.byteLength)
      : new Uint8Array(input);
    const all = this.#kept.length === 0 ? given : concatBytes([this.#kept, given]);
    const keep = stream ? unfinishedBytes(all) : 0;
    const bytes = keep === 0 ? all : all.subarray(0, all.length - keep);
    const isStart = !this.#started;
    this.#kept = all.slice(all.length - keep);
    this.#started = stream && (this.#started || bytes.length > 0);
    const text = this.fatal ? decodeUtf8Strict(bytes) : decodeUtf8(bytes);
    if (text === undefined) {
      this.#kept = new Uint8Array();
      this.#started = false;
      throw new TypeError('the bytes are not UTF-8');
    }
    return isStart && !this.ignoreBOM && text.charCodeAt(0) === 0xfeff ? text.slice(1) : text;
  }
}

/** The others of the web come with `astrid build` where they are used (`web.ts`). */
export type { WebNames };

declare global {
  var console: ConsoleLike;
  var TextEncoder: typeof Utf8Encoder;
  var TextDecoder: typeof Utf8Decoder;
}

function format(value: unknown): string {
  if (typeof value === 'string') return value;
  if (value instanceof Error) return describe(value);
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
