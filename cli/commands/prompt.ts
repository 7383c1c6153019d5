import type { ApprovalRow } from '../../abi/control.js';
import { asFault, EXIT, exitCodeOf, Fault } from '../../abi/errno.js';
import { LIMITS } from '../../abi/limits.js';
import { syscallByName } from '../../abi/table.js';
import { answerFromTerminal } from '../approval-prompt.js';
import type { ControlClient } from '../client.js';
import { type CommandContext, type CommandRun, connectOrStart, resolveWorkspace } from '../context.js';
import { Conversation, type ConversationEvent, EXIT_BY_OUTCOME } from '../conversation.js';
import type { Io } from '../io.js';
import { readMode } from '../modes.js';
import { runLine } from '../slash-commands.js';
import type { TurnOutcome } from '../turn-events.js';
import { printFault } from '../view/fault-view.js';
import { paint } from '../view/terminal.js';

/** Version of the NDJSON events of `-p --json`. Fields may be added; one that changes its meaning raises it. */
const NDJSON_VERSION = 1;
const TIMEOUT_S_DEFAULT = 600;
const TIMEOUT_S_MAX = 86_400;
/** After Ctrl-C or the deadline the agent gets this long to take the cancel. */
const CANCEL_WAIT_MS = 1_000;

/** Standard input as text when it is no terminal. Fault `too_large` above what one message may carry. */
async function readPipedText(io: Io): Promise<string> {
  if (io.stdin.isTTY === true) return '';
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of io.stdin) {
    const part = Buffer.isBuffer(chunk) ? chunk : Buffer.from(String(chunk));
    bytes += part.length;
    if (bytes > LIMITS.ipcPayloadBytesMax) {
      throw new Fault('too_large', `standard input is larger than ${LIMITS.ipcPayloadBytesMax} bytes`);
    }
    chunks.push(part);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function joinPrompt(prompt: string, piped: string): string {
  const text = [prompt, piped.trimEnd()].filter((part) => part !== '').join('\n\n');
  if (text.trim() === '') {
    throw new Fault('invalid_argument', 'the prompt is empty: give -p TEXT or pipe something in', { field: 'prompt' });
  }
  return text;
}

/** One path inside the workspace and nothing that merely begins like one. */
export function isInsideWorkspace(resource: string): boolean {
  if (!resource.startsWith('cwd://')) return false;
  const path = resource.slice('cwd://'.length);
  return !path.includes('://') && !path.split('/').includes('..');
}

/**
 * What `--yes` answers: the gate's question about a file of the workspace. What a capsule asks in its own words may name any path
 * beside any action, and so may the command line or the name that another call is about.
 */
function isCoveredByYes({ origin, action, resource }: ApprovalRow): boolean {
  const capability = syscallByName(`astrid_${action}`)?.capability;
  const isFile = capability === 'fs_read' || capability === 'fs_write';
  return origin === 'kernel' && isFile && isInsideWorkspace(resource);
}

/** One headless turn: what it prints, and what it does with approvals. */
class HeadlessTurn {
  readonly #context: CommandContext;
  readonly #yes: boolean;
  readonly #interactive: boolean;
  readonly #answered = new Set<string>();
  readonly #early: ConversationEvent[] = [];
  #conversation: Conversation | null = null;
  #presence: ControlClient | null = null;
  #asking: Promise<void> = Promise.resolve();

  constructor(context: CommandContext, yes: boolean, interactive: boolean) {
    this.#context = context;
    this.#yes = yes;
    this.#interactive = interactive;
  }

  /** With `presence`, a connection that says that somebody is there to answer; closing it takes that back. */
  attach(conversation: Conversation, presence: ControlClient | null): void {
    this.#conversation = conversation;
    this.#presence = presence;
    this.#emit({ type: 'session', session: conversation.session.id, resumed: conversation.session.resumed });
    for (const event of this.#early.splice(0)) this.handle(event);
  }

  handle(event: ConversationEvent): void {
    // Approvals of a resumed session come before `open` has returned what to answer them with.
    if (this.#conversation === null) this.#early.push(event);
    else if (event.type === 'approval') this.#handleApproval(event.row);
    else if (event.type === 'lost') return;
    else if (this.#context.json) this.#emit(event);
    else if (event.type === 'response' && event.isFinal) this.#printAnswer(event.text);
    else if (event.type === 'response') this.#note(event.text);
    else if (event.type === 'lagged') this.#note(`${event.count} messages were lost: the output may be incomplete`);
  }

  fail(fault: Fault): void {
    if (this.#context.json) this.#emit({ type: 'error', code: fault.code, message: fault.message });
    else printFault(this.#context.io.err, fault);
  }

  finish(outcome: TurnOutcome): void {
    if (this.#context.json || outcome === 'ok') return;
    const session = this.#conversation?.session.id ?? '';
    const hint = outcome === 'queued' ? `; once it is allowed, go on with: --session ${session}` : '';
    this.#note(`the turn ended: ${outcome.replace('_', ' ')}${hint}`);
  }

  #printAnswer(text: string): void {
    this.#context.io.out.prose(text.endsWith('\n') ? text : `${text}\n`);
  }

  #note(text: string): void {
    this.#context.io.err.line(paint('yellow', `astrid: ${text}`));
  }

  #emit(event: Readonly<Record<string, unknown>> | ConversationEvent): void {
    if (this.#context.json) this.#context.io.out.json({ v: NDJSON_VERSION, ...event });
  }

  #handleApproval(row: ApprovalRow): void {
    const conversation = this.#conversation;
    const mine = this.#yes && row.state === 'pending' && isCoveredByYes(row);
    const answer = mine && !this.#answered.has(row.id) ? 'once' : null;
    this.#emit({ type: 'approval', approval: row, answer });
    if (conversation === null) return;
    if (answer !== null) {
      this.#answered.add(row.id);
      conversation.answer(row.id, answer).catch((error: unknown) => this.fail(asFault(error)));
    } else if (row.state === 'pending' && this.#interactive && !mine) {
      this.#asking = this.#asking.then(() => answerFromTerminal(this.#context.io, conversation, row));
      this.#asking.catch((error: unknown) => this.fail(asFault(error)));
    } else if (row.state === 'pending' && this.#yes && !mine) {
      // Nobody here answers this one: whoever was there leaves, and it is queued instead of waiting for its deadline.
      this.#presence?.close();
    } else if (!this.#context.json && row.state === 'queued') {
      const next = `astrid approvals allow ${row.id.slice(0, 8)}`;
      this.#note(`queued for approval: ${row.capsule} ${row.action} ${row.resource}; allow it with: ${next}`);
    }
  }
}

/** Runs the turn against the deadline and Ctrl-C; both cancel it at the agent before they end the wait. */
async function runBounded(io: Io, conversation: Conversation, text: string, timeoutMs: number): Promise<TurnOutcome> {
  const give = (fault: Fault) => {
    const wait = setTimeout(() => conversation.abandonTurn(fault), CANCEL_WAIT_MS);
    const giveUp = () => {
      clearTimeout(wait);
      conversation.abandonTurn(fault);
    };
    conversation.cancelTurn().then(giveUp, giveUp);
  };
  const deadline = setTimeout(
    () => give(new Fault('timed_out', `no answer within ${timeoutMs / 1000} s (--timeout)`)),
    timeoutMs,
  );
  const stopListening = io.onInterrupt(() => give(new Fault('cancelled', 'interrupted')));
  try {
    return await runLine(conversation, text);
  } finally {
    clearTimeout(deadline);
    stopListening();
  }
}

/** `astrid -p TEXT`: one turn, its answer on standard output, its outcome as the exit code. */
export const runPrompt: CommandRun = async (context, args) => {
  const { io } = context;
  const yes = args.flag('yes');
  // With JSON the output belongs to a program, which cannot see a question.
  const interactive = !yes && !context.json && io.stdin.isTTY === true && io.err.isTTY;
  const timeoutMs = (args.integer('timeout', 1, TIMEOUT_S_MAX) ?? TIMEOUT_S_DEFAULT) * 1000;
  const session = args.text('session');
  const mode = readMode(args.text('mode'));
  const turn = new HeadlessTurn(context, yes, interactive);
  try {
    const text = joinPrompt(args.text('prompt') ?? '', await readPipedText(io));
    const client = await connectOrStart(context);
    const workspace = await resolveWorkspace(io);
    const options = {
      workspace,
      interactive,
      ...(session === undefined ? {} : { session }),
      ...(mode === undefined ? {} : { mode }),
    };
    const conversation = await Conversation.open(client, options, (event) => turn.handle(event));
    const presence = yes ? await openPresence(context, conversation.session.id, workspace) : null;
    turn.attach(conversation, presence);
    try {
      const outcome = await runBounded(io, conversation, text, timeoutMs);
      turn.finish(outcome);
      return EXIT_BY_OUTCOME[outcome];
    } finally {
      presence?.close();
      conversation.close();
    }
  } catch (error) {
    const fault = asFault(error);
    turn.fail(fault);
    return fault.code === 'cancelled' ? EXIT.interrupted : exitCodeOf(fault.code);
  }
};

/**
 * A second connection whose only meaning is that somebody answers for the session: the supervisor counts listeners by
 * connection, so this is what `--yes` can take back without losing the turn.
 */
async function openPresence(context: CommandContext, id: string, workspace: string): Promise<ControlClient> {
  const client = await connectOrStart(context);
  try {
    await client.request('session.open', { id, workspace, interactive: true });
    return client;
  } catch (error) {
    client.close();
    throw error;
  }
}
