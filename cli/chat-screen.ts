import type { ApprovalMode, ApprovalRow, ElicitRow } from '../abi/control.js';
import { asFault, EXIT, Fault } from '../abi/errno.js';
import { askApproval, sendAnswer } from './approval-prompt.js';
import { ChatLink } from './chat-link.js';
import type { CommandContext } from './context.js';
import type { Conversation, ConversationEvent } from './conversation.js';
import { askQuestion } from './elicit-prompt.js';
import type { KeyInput } from './key-input.js';
import { isSlash, runSlash } from './slash-commands.js';
import type { TurnEvent } from './turn-events.js';
import { printFault } from './view/fault-view.js';
import { paint, type Terminal } from './view/terminal.js';
import { TurnView } from './view/turn-view.js';

const PROMPT = '> ';
/** After a cancel the agent gets this long for its last words before the prompt comes back without them. */
const CANCEL_WAIT_MS = 5_000;
/** Events kept while a question is on the screen; what is beyond is counted. */
const HELD_EVENTS_MAX = 10_000;

interface OpenQuestion {
  readonly row: ApprovalRow | ElicitRow;
  readonly dismiss: AbortController;
}

/**
 * The interactive chat: one line editor, one turn at a time, one question at a time.
 *
 *   prompt ── text ──► turn ── final response ──► prompt
 *     │                 └── approval pending ──► question ── answer ──► turn
 *     └── Ctrl-D, /quit, Ctrl-C twice ──► left (the session stays with the supervisor)
 */
export class ChatScreen {
  readonly #terminal: Terminal;
  readonly #context: CommandContext;
  readonly #input: KeyInput;
  readonly #link: ChatLink;
  readonly #view: TurnView;
  readonly #waiting: (ApprovalRow | ElicitRow)[] = [];
  readonly #held: TurnEvent[] = [];
  #question: OpenQuestion | null = null;
  #interrupts = 0;
  #leave: ((code: number) => void) | null = null;

  constructor(
    context: CommandContext,
    input: KeyInput,
    options: { readonly session: string | undefined; readonly mode: ApprovalMode | undefined },
  ) {
    this.#context = context;
    this.#input = input;
    this.#terminal = context.io.out;
    this.#view = new TurnView(this.#terminal);
    this.#link = new ChatLink(
      context,
      { ...options, interactive: true },
      { onEvent: (event) => this.#handle(event), onNotice: (text) => this.#notice(text) },
    );
    input.onInterrupt(() => this.#handleInterrupt());
    input.onEnd(() => this.#leave?.(EXIT.ok));
  }

  /** Until the person leaves. Returns the exit code; a first connection that fails is thrown. */
  async run(): Promise<number> {
    const left = new Promise<number>((resolve) => {
      this.#leave = resolve;
    });
    try {
      const { session } = await this.#link.conversation();
      const how = session.resumed ? 'resumed' : 'new';
      this.#terminal.line(paint('dim', `session ${session.id} (${how}), mode ${session.mode}; /help for commands`));
      return await Promise.race([left, this.#readLines()]);
    } finally {
      this.#question?.dismiss.abort();
      this.#link.close();
    }
  }

  async #readLines(): Promise<number> {
    for (;;) {
      this.#interrupts = 0;
      const text = await this.#input.readLine(PROMPT);
      if (text === null) {
        this.#terminal.write('\n');
        return EXIT.ok;
      }
      this.#interrupts = 0;
      if (text.trim() === '') continue;
      try {
        if ((await this.#runText(text)) === 'quit') return EXIT.ok;
      } catch (error) {
        this.#view.endLine();
        printFault(this.#terminal, asFault(error));
      }
    }
  }

  async #runText(text: string): Promise<'done' | 'quit'> {
    if (text.trim() === '/quit') return 'quit';
    const conversation = await this.#link.conversation();
    if (isSlash(text)) return runSlash({ terminal: this.#terminal, conversation }, text);
    await conversation.runTurn(text);
    return 'done';
  }

  #handle(event: ConversationEvent): void {
    if (event.type === 'approval') this.#handleApproval(event.row);
    else if (event.type === 'question') this.#handleElicit(event.row);
    else if (event.type === 'lost') this.#question?.dismiss.abort();
    else if (this.#question !== null) this.#hold(event);
    else if (this.#input.isLineOpen) this.#aside(() => this.#view.show(event));
    else this.#view.show(event);
  }

  /** Nothing is printed under an open question: a flood of deltas must not scroll it away. */
  #hold(event: TurnEvent): void {
    this.#held.push(event);
    if (this.#held.length > HELD_EVENTS_MAX) this.#held.splice(0, 2, { type: 'lagged', count: 2 });
  }

  #releaseHeld(): void {
    for (const event of this.#held.splice(0)) this.#view.show(event);
  }

  /** Prints above the line that is being typed, and draws that line again. */
  #aside(print: () => void): void {
    this.#terminal.control('clearLine');
    print();
    this.#view.endLine();
    this.#input.redrawLine();
  }

  #notice(text: string): void {
    this.#view.endLine();
    if (this.#input.isLineOpen) this.#aside(() => this.#terminal.line(paint('yellow', text)));
    else this.#terminal.line(paint('yellow', text));
  }

  #handleApproval(row: ApprovalRow): void {
    const open = this.#question;
    const index = this.#waiting.findIndex((other) => other.id === row.id);
    if (index >= 0) this.#waiting.splice(index, 1);
    if (row.state === 'pending') {
      // The same id with other arguments is another question: what is on the screen may not be answered any more.
      if (open?.row.id === row.id && 'argsHash' in open.row && open.row.argsHash === row.argsHash) return;
      this.#waiting.push(row);
      if (open?.row.id === row.id) open.dismiss.abort();
      else if (open === null) void this.#askNext();
      return;
    }
    if (open?.row.id === row.id) open.dismiss.abort();
    else if (row.state === 'queued')
      this.#notice(`queued for approval: ${row.action} ${row.resource} (astrid approvals)`);
  }

  /** A question of an install hook takes its turn among the approvals. */
  #handleElicit(row: ElicitRow): void {
    const index = this.#waiting.findIndex((other) => other.id === row.id);
    if (index >= 0) this.#waiting.splice(index, 1);
    if (row.state === 'open') {
      this.#waiting.push(row);
      if (this.#question === null) void this.#askNext();
    } else if (this.#question?.row.id === row.id) this.#question.dismiss.abort();
  }

  async #askNext(): Promise<void> {
    for (let row = this.#waiting.shift(); row !== undefined; row = this.#waiting.shift()) {
      const question = { row, dismiss: new AbortController() };
      this.#question = question;
      try {
        await this.#ask(question);
      } catch (error) {
        printFault(this.#terminal, asFault(error));
      } finally {
        this.#question = null;
      }
    }
    this.#releaseHeld();
    this.#input.redrawLine();
  }

  async #ask(question: OpenQuestion): Promise<void> {
    this.#view.endLine();
    this.#terminal.control('clearLine');
    const { row, dismiss } = question;
    if ('kind' in row) {
      const client = this.#link.connected?.client;
      if (client !== undefined) await askQuestion(this.#terminal, this.#input, client, row, dismiss.signal);
      return;
    }
    const answer = await askApproval(this.#terminal, this.#input, row, this.#context.io.now, dismiss.signal);
    if (answer.decision === null) {
      this.#terminal.line(paint('dim', `approval ${row.id} was settled elsewhere or changed`));
      return;
    }
    const conversation = this.#link.connected;
    if (conversation !== null && !(await sendAnswer(this.#terminal, conversation, row, answer.decision))) {
      this.#waiting.unshift(row);
    }
    if (answer.ended === 'interrupt') this.#handleInterrupt();
    if (answer.ended === 'end') this.#leave?.(EXIT.ok);
  }

  #handleInterrupt(): void {
    this.#interrupts += 1;
    if (this.#interrupts >= 2) {
      this.#view.endLine();
      this.#leave?.(EXIT.interrupted);
      return;
    }
    const conversation = this.#link.connected;
    if (conversation === null || conversation.turn === null) {
      this.#notice('Ctrl-C again leaves; so does Ctrl-D');
      return;
    }
    this.#notice('cancelling … (Ctrl-C again leaves)');
    this.#cancel(conversation).catch((error: unknown) => printFault(this.#terminal, asFault(error)));
  }

  async #cancel(conversation: Conversation): Promise<void> {
    const { turn } = conversation;
    const giveUp = new Fault('cancelled', 'the turn was cancelled; the agent did not confirm it');
    const abandon = () => {
      if (conversation.turn === turn) conversation.abandonTurn(giveUp);
    };
    setTimeout(abandon, CANCEL_WAIT_MS).unref();
    await conversation.cancelTurn();
  }
}
