import { createInterface, type Interface } from 'node:readline';
import { PassThrough, type Writable } from 'node:stream';
import { StringDecoder } from 'node:string_decoder';
import type { InputStream } from './io.js';

const CTRL_C = '\x03';
const CTRL_D = '\x04';
const TYPED_AHEAD_CHARS_MAX = 4096;
const HISTORY_LINES = 500;
const FIELD_CHARS_MAX = 64 * 1024;

/** How long the keyboard must be silent before a question counts as shown and an answer is taken. */
const QUIET_MS = 300;

/** A question that got no answer. */
interface Ended {
  readonly ended: 'escape' | 'interrupt' | 'end' | 'dismissed';
}

/** What a field got: a text, or how it ended without one. */
export type Field = { readonly text: string } | Ended;

/** What a question got: one of its letters, or how it ended otherwise. */
export type Choice = { readonly key: string } | { readonly ended: 'enter' } | Ended;

type Sink = (text: string) => void;

/**
 * The keyboard of a chat. The terminal is in raw mode throughout and this class alone reads it, so that it always
 * knows what a key was typed for:
 *
 *   idle ── readLine ──► line   (a line editor gets the keys)      ── enter ──► idle
 *     └──── readChoice ► choice (one key, after a silence)         ── key ────► what was before
 *
 * Keys typed while idle wait for the next line, as in a shell; a question discards them, since whoever typed them
 * had not seen it.
 */
export class KeyInput {
  readonly #stdin: InputStream;
  readonly #editorOutput: Writable;
  readonly #quietMs: number;
  readonly #decoder = new StringDecoder('utf8');
  #typedAhead = '';
  #sink: Sink | null = null;
  readonly #lineSink: Sink = (text) => void this.#editorInput.write(text);
  #editor: Interface | null = null;
  readonly #editorInput = new PassThrough();
  #onInterrupt: () => void = () => {};
  #onEnd: () => void = () => {};
  #ended = false;

  constructor(stdin: InputStream, editorOutput: Writable, options: { readonly quietMs?: number } = {}) {
    this.#stdin = stdin;
    this.#editorOutput = editorOutput;
    this.#quietMs = options.quietMs ?? QUIET_MS;
    stdin.setRawMode?.(true);
    stdin.on('data', this.#handleData);
    stdin.on('end', this.#handleEnd);
    stdin.resume();
  }

  /** Ctrl-C while no line and no question is open, or in an empty line. */
  onInterrupt(handler: () => void): void {
    this.#onInterrupt = handler;
  }

  /** Ctrl-D, or the terminal went away. */
  onEnd(handler: () => void): void {
    this.#onEnd = handler;
  }

  get isEnded(): boolean {
    return this.#ended;
  }

  /** Gives the terminal back. */
  close(): void {
    this.#stdin.off('data', this.#handleData);
    this.#stdin.off('end', this.#handleEnd);
    this.#editor?.close();
    this.#editor = null;
    this.#stdin.setRawMode?.(false);
    this.#stdin.pause();
  }

  /** One entered text: a line, or all lines of one paste. Null at the end of input. */
  readLine(prompt: string): Promise<string | null> {
    if (this.#ended) return Promise.resolve(null);
    const editor = this.#openEditor();
    return new Promise((resolve) => {
      const lines: string[] = [];
      const finish = (text: string | null) => {
        editor.off('line', onLine).off('close', onClose);
        this.#sink = null;
        resolve(text);
      };
      const onLine = (line: string) => {
        lines.push(line);
        // The rest of a paste is in the same chunk; it belongs to the same message.
        if (lines.length === 1) setImmediate(() => finish(lines.join('\n')));
      };
      const onClose = () => finish(null);
      editor.on('line', onLine).on('close', onClose);
      this.#sink = this.#lineSink;
      editor.setPrompt(prompt);
      editor.prompt();
      const waiting = this.#typedAhead;
      this.#typedAhead = '';
      if (waiting !== '') this.#editorInput.write(waiting);
    });
  }

  /** Draws the open line again after something was printed over it. */
  redrawLine(): void {
    if (this.isLineOpen) this.#editor?.prompt(true);
  }

  /** A line is being typed, and no question covers it. */
  get isLineOpen(): boolean {
    return this.#sink !== null && this.#sink === this.#lineSink;
  }

  /**
   * One key out of `keys`. What was typed before the question was up does not count: everything is dropped until the
   * keyboard was silent for a while; only then `show` is called and a key is taken. Its Enter may come with it. A paste or
   * another line is no answer either; for the first such line `show` is called again, to say so: more would push away what
   * is asked.
   */
  readChoice(keys: string, show: (again: boolean) => void, dismissed: AbortSignal): Promise<Choice> {
    let told = false;
    return this.#ask<Choice>(
      () => show(false),
      dismissed,
      (typed, finish) => {
        const key = typed.replace(/\r?\n$|\r$/, '').toLowerCase();
        if (key === '') finish({ ended: 'enter' });
        else if (key.length === 1 && keys.includes(key)) finish({ key });
        else if (!told && /[\r\n]$/.test(typed)) {
          told = true;
          show(true);
        }
      },
    );
  }

  /** One line of text for a question, shown as it is typed or, when hidden, not at all. What was typed before it does not count. */
  readField(hidden: boolean, show: () => void, dismissed: AbortSignal): Promise<Field> {
    let text = '';
    return this.#ask<Field>(show, dismissed, (typed, finish) => {
      // Arrows and other keys that send a sequence mean nothing here.
      if (typed.startsWith('\x1b')) return;
      const end = typed.search(/[\r\n]/);
      text = this.#typeInto(text, end < 0 ? typed : typed.slice(0, end), hidden);
      if (end >= 0) finish({ text });
    });
  }

  /** Takes the keyboard until an answer is there: `take` gets each key, but those that end a question and those before it is shown. */
  #ask<T>(
    show: () => void,
    dismissed: AbortSignal,
    take: (typed: string, finish: (answer: T) => void) => void,
  ): Promise<T | Ended> {
    if (this.#ended) return Promise.resolve({ ended: 'end' });
    const before = this.#sink;
    this.#typedAhead = '';
    return new Promise((resolve) => {
      let armed = false;
      const timer = setTimeout(() => {
        armed = true;
        show();
      }, this.#quietMs);
      const finish = (answer: T | Ended) => {
        clearTimeout(timer);
        dismissed.removeEventListener('abort', onDismissed);
        this.#sink = before;
        resolve(answer);
      };
      const onDismissed = () => finish({ ended: 'dismissed' });
      dismissed.addEventListener('abort', onDismissed, { once: true });
      if (dismissed.aborted) return onDismissed();
      this.#sink = (typed) => {
        if (typed.includes(CTRL_C)) finish({ ended: 'interrupt' });
        else if (typed.includes(CTRL_D)) finish({ ended: 'end' });
        else if (!armed) timer.refresh();
        else if (typed === '\x1b') finish({ ended: 'escape' });
        else take(typed, finish);
      };
    });
  }

  /** The text after these keys; echoes what is printable. */
  #typeInto(text: string, typed: string, hidden: boolean): string {
    let result = text;
    for (const char of typed) {
      if (char === '\x7f' || char === '\b') {
        if (result !== '' && !hidden) this.#editorOutput.write('\b \b');
        result = [...result].slice(0, -1).join('');
      } else if (!/\p{Cc}/u.test(char) && result.length < FIELD_CHARS_MAX) {
        result += char;
        if (!hidden) this.#editorOutput.write(char);
      }
    }
    return result;
  }

  #openEditor(): Interface {
    if (this.#editor !== null) return this.#editor;
    const editor = createInterface({
      input: this.#editorInput,
      output: this.#editorOutput,
      terminal: true,
      historySize: HISTORY_LINES,
      removeHistoryDuplicates: true,
    });
    editor.on('SIGINT', () => {
      if (editor.line === '') return this.#onInterrupt();
      editor.write(null, { ctrl: true, name: 'e' });
      editor.write(null, { ctrl: true, name: 'u' });
    });
    // The editor does not hold the terminal, so it could not give it back before stopping.
    editor.on('SIGTSTP', () => {});
    editor.on('close', () => this.#handleEnd());
    this.#editor = editor;
    return editor;
  }

  #handleData = (chunk: Buffer | string): void => {
    const text = typeof chunk === 'string' ? chunk : this.#decoder.write(chunk);
    if (text === '') return;
    if (this.#sink !== null) {
      this.#sink(text);
    } else if (text.includes(CTRL_C)) {
      this.#typedAhead = '';
      this.#onInterrupt();
    } else if (text.includes(CTRL_D)) {
      this.#handleEnd();
    } else {
      this.#typedAhead = (this.#typedAhead + text).slice(0, TYPED_AHEAD_CHARS_MAX);
    }
  };

  #handleEnd = (): void => {
    if (this.#ended) return;
    this.#ended = true;
    const sink = this.#sink;
    this.#sink = null;
    // A question that waits is answered with its default; a line that waits is closed by the editor.
    sink?.(CTRL_D);
    this.#onEnd();
  };
}
