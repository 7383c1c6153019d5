import { PassThrough } from 'node:stream';
import type { InputStream, Io } from '../../cli/io.js';
import { Terminal } from '../../cli/view/terminal.js';

export interface FakeIoOptions {
  /** Standard input, output and error are a terminal. */
  readonly tty?: boolean;
  readonly color?: boolean;
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly columns?: number;
  readonly rows?: number;
  readonly now?: () => number;
  /** Text that is piped in; with a terminal, use `type`. */
  readonly stdin?: string;
}

/** Everything written to one stream, and a way to wait for a text in it. */
export class Capture extends PassThrough {
  readonly isTTY: boolean;
  readonly columns: number;
  readonly rows: number;
  text = '';
  readonly #waiting: { readonly text: string; readonly resolve: () => void }[] = [];

  constructor(options: FakeIoOptions) {
    super();
    this.isTTY = options.tty === true;
    this.columns = options.columns ?? 100;
    this.rows = options.rows ?? 30;
    this.on('data', (chunk: Buffer) => {
      this.text += chunk.toString('utf8');
      for (const one of [...this.#waiting]) {
        if (!this.text.includes(one.text)) continue;
        this.#waiting.splice(this.#waiting.indexOf(one), 1);
        one.resolve();
      }
    });
  }

  /** Resolves once the text has been written, and forgets what was written up to it. */
  async until(text: string): Promise<string> {
    if (!this.text.includes(text)) {
      await new Promise<void>((resolve) => this.#waiting.push({ text, resolve }));
    }
    const end = this.text.indexOf(text) + text.length;
    const seen = this.text.slice(0, end);
    this.text = this.text.slice(end);
    return seen;
  }
}

export interface FakeIo extends Io {
  readonly outText: Capture;
  readonly errText: Capture;
  /** Keys on the keyboard. */
  readonly type: (keys: string) => void;
  readonly interrupt: () => void;
  /** Whether the terminal is in raw mode. */
  readonly isRaw: () => boolean;
}

/** A terminal, or none, inside the test process. */
export function makeFakeIo(options: FakeIoOptions = {}): FakeIo {
  const outText = new Capture(options);
  const errText = new Capture(options);
  const keyboard = new PassThrough();
  let raw = false;
  const stdin: InputStream = Object.assign(keyboard, {
    isTTY: options.tty === true,
    setRawMode: (on: boolean) => {
      raw = on;
    },
  });
  if (options.tty !== true) keyboard.end(options.stdin ?? '');
  const handlers = new Set<() => void>();
  return {
    stdin,
    out: new Terminal(outText, { color: options.color === true }),
    err: new Terminal(errText, { color: options.color === true }),
    editorOutput: outText,
    keyQuietMs: 1,
    env: options.env ?? {},
    cwd: options.cwd ?? process.cwd(),
    now: options.now ?? (() => 5_000),
    onInterrupt: (handler) => {
      handlers.add(handler);
      return () => void handlers.delete(handler);
    },
    outText,
    errText,
    type: (keys) => void keyboard.write(keys),
    interrupt: () => {
      for (const handler of handlers) handler();
    },
    isRaw: () => raw,
  };
}
