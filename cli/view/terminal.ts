import type { Writable } from 'node:stream';
import { sanitizeJson, sanitizeLine, sanitizeProse, sanitizeText } from './sanitize.js';

export type StyleName = 'plain' | 'bold' | 'dim' | 'red' | 'green' | 'yellow' | 'cyan';

const SGR: Record<StyleName, string> = {
  plain: '',
  bold: '\x1b[1m',
  dim: '\x1b[2m',
  red: '\x1b[31m',
  green: '\x1b[32m',
  yellow: '\x1b[33m',
  cyan: '\x1b[36m',
};
const SGR_RESET = '\x1b[0m';

/** The escapes that this program itself needs; there is no way to send another one. */
const CONTROLS = {
  /** Back to column one and clear to the end of the line. */
  clearLine: '\r\x1b[K',
} as const;

export interface Span {
  readonly style: StyleName;
  readonly text: string;
}
/** A plain string is a span without a style. */
export type Part = string | Span;

export interface TerminalOptions {
  readonly color: boolean;
  /** Called once when the reader is gone (EPIPE) or the stream broke. */
  readonly onBroken?: (error: Error) => void;
}

export interface TerminalStream extends Writable {
  readonly isTTY?: boolean;
  readonly columns?: number;
  readonly rows?: number;
}

const COLUMNS_DEFAULT = 80;
const ROWS_DEFAULT = 24;

/** Styled text. It is data until a Terminal renders it: escapes are added after sanitising, never before. */
export function paint(style: StyleName, text: string): Span {
  return { style, text };
}

/**
 * The only way to the screen. Every method sanitises what it is given, so text of a capsule cannot reach the
 * stream raw; colours are data (`Span`), so that nobody has a reason to pass escapes in a string.
 */
export class Terminal {
  readonly #stream: TerminalStream;
  readonly #color: boolean;

  constructor(stream: TerminalStream, options: TerminalOptions) {
    this.#stream = stream;
    this.#color = options.color;
    stream.once('error', (error: Error) => options.onBroken?.(error));
  }

  get isTTY(): boolean {
    return this.#stream.isTTY === true;
  }

  /**
   * At least 20: below that nothing can be laid out, and a wrapped line beats an empty one. A terminal that was never
   * told its size says 0.
   */
  get columns(): number {
    return Math.max(20, this.#stream.columns || COLUMNS_DEFAULT);
  }

  get rows(): number {
    return Math.max(8, this.#stream.rows || ROWS_DEFAULT);
  }

  /** Text that may span lines; hidden code points are written out. */
  write(...parts: readonly Part[]): void {
    this.#emit(parts.map((part) => this.#render(part, sanitizeText)).join(''));
  }

  /** Exactly one line, whatever the parts hold. */
  line(...parts: readonly Part[]): void {
    this.#emit(`${parts.map((part) => this.#render(part, sanitizeLine)).join('')}\n`);
  }

  /** An agent's running text; hidden code points are dropped. */
  prose(text: string): void {
    this.#emit(sanitizeProse(text));
  }

  /** One JSON value on one line. */
  json(value: unknown): void {
    this.#emit(`${sanitizeJson(JSON.stringify(value) ?? 'null')}\n`);
  }

  /** A control sequence of our own; nothing when the stream is no terminal. */
  control(name: keyof typeof CONTROLS): void {
    if (this.isTTY) this.#emit(CONTROLS[name]);
  }

  /** Resolves when the stream takes more. */
  drained(): Promise<void> {
    const stream = this.#stream;
    if (!stream.writableNeedDrain || stream.destroyed) return Promise.resolve();
    return new Promise((resolve) => {
      const done = () => {
        stream.off('drain', done).off('close', done);
        resolve();
      };
      stream.on('drain', done).on('close', done);
    });
  }

  /** Resolves once everything written so far has left the process (or the stream broke). */
  flush(): Promise<void> {
    if (this.#stream.destroyed || this.#stream.writableEnded) return Promise.resolve();
    return new Promise((resolve) => {
      this.#stream.write('', () => resolve());
    });
  }

  #render(part: Part, sanitize: (text: string) => string): string {
    if (typeof part === 'string') return sanitize(part);
    const text = sanitize(part.text);
    if (!this.#color || part.style === 'plain' || text === '') return text;
    return `${SGR[part.style]}${text}${SGR_RESET}`;
  }

  #emit(text: string): void {
    if (text !== '' && !this.#stream.destroyed) this.#stream.write(text);
  }
}
