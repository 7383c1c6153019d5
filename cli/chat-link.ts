import type { ApprovalMode } from '../abi/control.js';
import { asFault, Fault } from '../abi/errno.js';
import { type CommandContext, connectOrStart, resolveWorkspace } from './context.js';
import { Conversation, type ConversationEvent } from './conversation.js';
import { wasStopped } from './daemon.js';

const STOPPED_LOOK_MS = 2_000;
const RECONNECT_TRIES = 5;
const RECONNECT_PAUSE_MS = 500;

export interface ChatLinkOptions {
  readonly session: string | undefined;
  readonly mode: ApprovalMode | undefined;
  readonly interactive: boolean;
}

export interface ChatLinkListener {
  readonly onEvent: (event: ConversationEvent) => void;
  /** One line about the state of the connection, for the person. */
  readonly onNotice: (text: string) => void;
}

/**
 * A conversation that survives its supervisor. When the connection breaks:
 *
 *   died     ── it is started again, the same session is opened ──► connected
 *   stopped  ── on purpose, so it stays down until the next prompt asks for it ──► connected
 */
export class ChatLink {
  readonly #context: CommandContext;
  readonly #options: ChatLinkOptions;
  readonly #listener: ChatLinkListener;
  #session: string | undefined;
  #current: Promise<Conversation> | null = null;
  #open: Conversation | null = null;
  #openedOnce = false;
  #closed = false;

  constructor(context: CommandContext, options: ChatLinkOptions, listener: ChatLinkListener) {
    this.#context = context;
    this.#options = options;
    this.#listener = listener;
    this.#session = options.session;
  }

  /** The conversation, connected; waits for a reconnect that is under way. */
  async conversation(): Promise<Conversation> {
    this.#current ??= this.#connect();
    const current = this.#current;
    try {
      return await current;
    } catch (error) {
      this.#forget(current);
      throw error;
    }
  }

  /** The conversation if it is connected right now. */
  get connected(): Conversation | null {
    return this.#open;
  }

  get session(): string | undefined {
    return this.#session;
  }

  close(): void {
    this.#closed = true;
    this.#open?.close();
    this.#open = null;
  }

  async #connect(): Promise<Conversation> {
    const { mode, interactive } = this.#options;
    // Told through the listener: a line of its own would be written over the prompt that is open by then.
    const onStart = this.#openedOnce ? () => this.#listener.onNotice('starting the supervisor again …') : undefined;
    const client = await connectOrStart(this.#context, onStart);
    // The mode is for the opening: a later `/mode` must not be undone by a reconnect.
    const conversation = await Conversation.open(
      client,
      {
        workspace: await resolveWorkspace(this.#context.io),
        interactive,
        questions: interactive,
        ...(this.#session === undefined ? {} : { session: this.#session }),
        ...(mode === undefined || this.#openedOnce ? {} : { mode }),
      },
      (event) => this.#handle(event),
    );
    this.#session = conversation.session.id;
    this.#open = conversation;
    this.#openedOnce = true;
    return conversation;
  }

  #handle(event: ConversationEvent): void {
    this.#listener.onEvent(event);
    if (event.type !== 'lost' || this.#closed) return;
    this.#open = null;
    const restored = this.#restore(event.fault);
    this.#current = restored;
    // Told here, and forgotten, so that the next prompt tries anew.
    restored.catch((error: unknown) => {
      this.#forget(restored);
      if (!this.#closed) this.#listener.onNotice(asFault(error).message);
    });
  }

  #forget(attempt: Promise<Conversation>): void {
    if (this.#current === attempt) this.#current = null;
  }

  async #restore(lost: Fault): Promise<Conversation> {
    if (await wasStopped(this.#context.homePath, STOPPED_LOOK_MS)) {
      throw new Fault('not_running', 'the supervisor was stopped; the next message starts it again');
    }
    this.#listener.onNotice(`lost the supervisor (${lost.message}); reconnecting …`);
    let last: unknown = lost;
    for (let i = 0; i < RECONNECT_TRIES && !this.#closed; i += 1) {
      try {
        const conversation = await this.#connect();
        this.#listener.onNotice(`connected again; session ${conversation.session.id} goes on`);
        return conversation;
      } catch (error) {
        last = error;
        await new Promise((resolve) => setTimeout(resolve, RECONNECT_PAUSE_MS));
      }
    }
    throw last;
  }
}
