import type { TurnEvent } from '../turn-events.js';
import { sanitizeLine } from './sanitize.js';
import { paint, type Terminal } from './terminal.js';
import { cutMiddle } from './width.js';

/** Columns that the marks before a tool line take. */
const MARK_COLUMNS = 4;

/**
 * A turn on the screen: the answer streams, tool calls are dim lines in between. What was streamed is not printed
 * again when the complete response comes.
 */
export class TurnView {
  readonly #terminal: Terminal;
  /** Text streamed since the last thing that was no delta. */
  #streamed = '';
  /** What was streamed when the turn ended: the complete response that follows may be just that. */
  #said = '';
  #lineOpen = false;

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
  }

  show(event: TurnEvent): void {
    switch (event.type) {
      case 'delta':
        this.#stream(event.text);
        break;
      case 'tool_call':
        this.#note(`→ ${event.tool} `, JSON.stringify(event.arguments) ?? '');
        break;
      case 'tool_result':
        this.#showResult(event.content, event.isError);
        break;
      case 'response':
        this.#showResponse(event.text);
        break;
      case 'lagged':
        this.#warn(`(${event.count} messages were lost on the way here)`);
        break;
      case 'finished':
        this.#said = this.#streamed;
        if (event.outcome !== 'ok') this.#warn(`(turn ended: ${event.outcome.replace('_', ' ')})`);
        break;
    }
  }

  /** Ends a half-written line, so that something else can be printed. */
  endLine(): void {
    if (this.#lineOpen) this.#terminal.write('\n');
    this.#lineOpen = false;
    this.#streamed = '';
  }

  #stream(text: string): void {
    if (text === '') return;
    this.#terminal.prose(text);
    this.#streamed += text;
    this.#lineOpen = !text.endsWith('\n');
  }

  #showResponse(text: string): void {
    const said = this.#said;
    this.#said = '';
    if (this.#streamed === '' && text === said) return;
    const rest = text.startsWith(this.#streamed) ? text.slice(this.#streamed.length) : text;
    if (rest === text && this.#streamed !== '') this.endLine();
    this.#stream(rest);
    this.endLine();
  }

  #showResult(content: string, isError: boolean): void {
    const lines = content.trimEnd().split('\n');
    const more = lines.length > 1 ? ` (+${lines.length - 1} lines)` : '';
    this.#note(isError ? '← error: ' : '← ', (lines[0] ?? '') + more);
  }

  #warn(text: string): void {
    this.endLine();
    this.#terminal.line(paint('yellow', text));
  }

  #note(mark: string, text: string): void {
    this.endLine();
    const room = Math.max(10, this.#terminal.columns - mark.length - MARK_COLUMNS);
    this.#terminal.line(paint('dim', `  ${mark}${cutMiddle(sanitizeLine(text), room)}`));
  }
}
