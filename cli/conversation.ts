import type {
  ApprovalDecision,
  ApprovalMode,
  ApprovalRow,
  BusEventRow,
  CommandRow,
  ElicitRow,
  SessionRow,
} from '../abi/control.js';
import { asFault, EXIT, Fault } from '../abi/errno.js';
import type { ControlClient } from './client.js';
import type { EventStream } from './event-stream.js';
import { readRecord, readRows } from './results.js';
import { readTurnEvents, TURN_PATTERNS, type TurnEvent, type TurnOutcome } from './turn-events.js';

export type ConversationEvent =
  | TurnEvent
  | { readonly type: 'approval'; readonly row: ApprovalRow }
  | { readonly type: 'question'; readonly row: ElicitRow }
  /** The connection is gone; the session is not: open it again with its id. */
  | { readonly type: 'lost'; readonly fault: Fault };

export interface ConversationOptions {
  /** Resumes this session; without it a new one is made. */
  readonly session?: string;
  readonly workspace: string;
  readonly mode?: ApprovalMode;
  /** Somebody will answer approvals on this connection. Otherwise they are queued. */
  readonly interactive: boolean;
  /** Somebody answers questions of install hooks here. */
  readonly questions?: boolean;
}

/** How a turn's outcome leaves the process. */
export const EXIT_BY_OUTCOME: Record<TurnOutcome, number> = {
  ok: EXIT.ok,
  denied: EXIT.denied,
  queued: EXIT.queued,
  failed: EXIT.failed,
  timed_out: EXIT.timedOut,
  over_budget: EXIT.overBudget,
  cancelled: EXIT.interrupted,
};

interface RunningTurn {
  outcome: TurnOutcome;
  readonly resolve: (outcome: TurnOutcome) => void;
  readonly reject: (fault: Fault) => void;
}

/**
 * One session on one connection: prompts go out, events come to the handler in order. The kernel owns the session, so
 * this object is disposable; after `lost` make another one on a new connection with the same session id.
 */
export class Conversation {
  readonly session: SessionRow;
  #mode: ApprovalMode;
  readonly client: ControlClient;
  readonly #options: ConversationOptions;
  readonly #handler: (event: ConversationEvent) => void;
  #streams: EventStream[] = [];
  #turn: RunningTurn | null = null;
  #closed = false;

  private constructor(
    client: ControlClient,
    session: SessionRow,
    options: ConversationOptions,
    handler: (event: ConversationEvent) => void,
  ) {
    this.client = client;
    this.session = session;
    this.#mode = session.mode;
    this.#options = options;
    this.#handler = handler;
  }

  /** Subscribed before it returns, so that no event of the first prompt can be missed. */
  static async open(
    client: ControlClient,
    options: ConversationOptions,
    handler: (event: ConversationEvent) => void,
  ): Promise<Conversation> {
    const session = readRecord<SessionRow>(await client.request('session.open', openParams(options)), 'session.open');
    const conversation = new Conversation(client, session, options, handler);
    // Both open before either is read: a connection that breaks in between is this call's fault, not an event.
    const bus = await client.stream('bus.subscribe', { session: session.id, patterns: [...TURN_PATTERNS] });
    const approvals = await client.stream('approvals.follow', { session: session.id });
    const questions = options.questions === true ? await client.stream('elicit.follow', {}) : null;
    conversation.#pump(bus, (event) => conversation.#handleBus(readRecord<BusEventRow>(event, 'bus.subscribe')));
    conversation.#pump(approvals, (event) =>
      handler({ type: 'approval', row: readRecord<ApprovalRow>(event, 'approvals.follow') }),
    );
    if (questions !== null) {
      conversation.#pump(questions, (event) =>
        handler({ type: 'question', row: readRecord<ElicitRow>(event, 'elicit.follow') }),
      );
    }
    return conversation;
  }

  /** Sends a prompt and waits for the end of its turn. Faults: what publishing says, `connection_closed`. */
  async runTurn(text: string): Promise<TurnOutcome> {
    return this.#converse(() => this.#publish(text));
  }

  /** Sends a slash command to the capsule that has it, which answers as the agent does. Faults as `runTurn`. */
  async runCommand(line: string): Promise<TurnOutcome> {
    return this.#converse(() => this.#publish(line, { topic: 'cli.v1.command.execute' }));
  }

  /** Slash commands that capsules have here. */
  async listCommands(): Promise<readonly CommandRow[]> {
    return readRows<CommandRow>(await this.client.request('commands.list', {}), 'commands.list');
  }

  async #converse(send: () => Promise<void>): Promise<TurnOutcome> {
    if (this.#turn !== null) throw new Fault('internal', 'a turn is running already');
    const ended = new Promise<TurnOutcome>((resolve, reject) => {
      this.#turn = { outcome: 'ok', resolve, reject };
    });
    try {
      // Together: the turn may end, or the connection break, before the publish is answered.
      const [outcome] = await Promise.all([ended, send()]);
      return outcome;
    } finally {
      this.#turn = null;
    }
  }

  /** Asks the agent to stop. The turn still ends with its own final response. */
  async cancelTurn(): Promise<void> {
    await this.#publish('', { context: { action: 'cancel_turn' } });
  }

  /** Which turn runs, to tell a later one from it. */
  get turn(): object | null {
    return this.#turn;
  }

  /** Ends the wait for the running turn; what the agent still says belongs to nobody. */
  abandonTurn(fault: Fault): void {
    this.#turn?.reject(fault);
  }

  async answer(id: string, decision: ApprovalDecision): Promise<void> {
    await this.client.request('approvals.answer', { id, decision });
  }

  /** Opens the same session again on the same connection, which is how its mode is changed. */
  async setMode(mode: ApprovalMode): Promise<SessionRow> {
    const params = openParams({ ...this.#options, session: this.session.id, mode });
    const row = readRecord<SessionRow>(await this.client.request('session.open', params), 'session.open');
    this.#mode = row.mode;
    return row;
  }

  /** When it asks now; `session` tells when it was opened. */
  get mode(): ApprovalMode {
    return this.#mode;
  }

  close(): void {
    this.#closed = true;
    for (const stream of this.#streams) stream.cancel();
    this.#streams = [];
    this.client.close();
  }

  async #publish(
    text: string,
    { topic = 'user.v1.prompt', context }: { topic?: string; context?: { readonly action: string } } = {},
  ): Promise<void> {
    const session = this.session.id;
    await this.client.request('bus.publish', {
      session,
      topic,
      payload: { type: 'user_input', text, session_id: session, ...(context === undefined ? {} : { context }) },
    });
  }

  #pump(stream: EventStream, handle: (event: unknown) => void): void {
    this.#streams.push(stream);
    const run = async () => {
      for await (const event of stream) handle(event);
      throw new Fault('connection_closed', 'the supervisor ended the conversation');
    };
    run().catch((error: unknown) => this.#lose(asFault(error)));
  }

  #handleBus(row: BusEventRow): void {
    for (const event of readTurnEvents(row)) {
      if (event.type === 'finished' && this.#turn !== null) this.#turn.outcome = event.outcome;
      this.#handler(event);
      if (event.type === 'response' && event.isFinal) this.#turn?.resolve(this.#turn.outcome);
    }
  }

  #lose(fault: Fault): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const stream of this.#streams) stream.cancel();
    this.#streams = [];
    this.client.close();
    this.#turn?.reject(fault);
    this.#handler({ type: 'lost', fault });
  }
}

function openParams(options: ConversationOptions): {
  id?: string;
  workspace: string;
  mode?: ApprovalMode;
  interactive: boolean;
} {
  const { session, workspace, mode, interactive } = options;
  return {
    workspace,
    interactive,
    ...(session === undefined ? {} : { id: session }),
    ...(mode === undefined ? {} : { mode }),
  };
}
