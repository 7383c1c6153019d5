import type { ApprovalDecision, ApprovalRow } from '../abi/control.js';
import { asFault, Fault } from '../abi/errno.js';
import type { Conversation } from './conversation.js';
import type { Io } from './io.js';
import { KeyInput } from './key-input.js';
import { layOutApproval, printCard, printDetail } from './view/approval-card.js';
import { printFault } from './view/fault-view.js';
import { paint, type Terminal } from './view/terminal.js';

/** What the person did. `interrupt` and `end` deny as well; `dismissed` means that it was settled elsewhere. */
export interface ApprovalAnswer {
  readonly decision: ApprovalDecision | null;
  readonly ended: 'interrupt' | 'end' | 'dismissed' | null;
}

const DECISIONS: Readonly<Record<string, ApprovalDecision>> = { o: 'once', s: 'session', d: 'deny' };
const SAID: Record<ApprovalDecision, string> = {
  once: 'allowed once',
  session: 'allowed for this session',
  deny: 'denied',
};

/** Lines under the card: the choices and the line the cursor is on. */
const RESERVED_LINES = 2;

const CHOICES: Readonly<Record<ApprovalDecision, string>> = { once: '[o]nce', session: '[s]ession', deny: '[d]eny' };

/** The keys of the answers that are taken here, and the one that shows more. */
function keysOf(row: ApprovalRow): string {
  return `${row.decisions.map((decision) => decision[0]).join('')}v`;
}

/** `again`: after a line that was no answer, in place of what the line with the choices said. */
function showChoices(terminal: Terminal, row: ApprovalRow, hiddenLines: number, again: boolean): void {
  if (again) {
    terminal.control('clearLine');
    terminal.write(paint('yellow', 'one key is wanted: '));
  }
  const more = hiddenLines > 0 ? [paint('yellow', '  [v]iew all of it')] : [];
  const choices = row.decisions.map((decision) => CHOICES[decision]).join('  ');
  terminal.write(paint('bold', choices), paint('dim', ' (default)'), ...more, paint('bold', ' > '));
}

/** Asks until there is an answer. Everything but an explicit `o` or `s` denies. */
export async function askApproval(
  terminal: Terminal,
  input: KeyInput,
  row: ApprovalRow,
  now: () => number,
  dismissed: AbortSignal,
): Promise<ApprovalAnswer> {
  for (;;) {
    const { columns, rows } = terminal;
    const card = layOutApproval(row, { columns, rows, now: now(), reserve: RESERVED_LINES });
    printCard(terminal, card);
    const show = (again: boolean) => showChoices(terminal, row, card.hiddenLines, again);
    const choice = await input.readChoice(keysOf(row), show, dismissed);
    if ('key' in choice && choice.key === 'v') {
      terminal.write('\n');
      printDetail(terminal, row);
      continue;
    }
    if ('ended' in choice && choice.ended === 'dismissed') {
      terminal.write('\n');
      return { decision: null, ended: 'dismissed' };
    }
    const decision = 'key' in choice ? (DECISIONS[choice.key] ?? 'deny') : 'deny';
    terminal.write(paint(decision === 'deny' ? 'red' : 'green', SAID[decision]), '\n');
    const ended = 'ended' in choice && (choice.ended === 'interrupt' || choice.ended === 'end') ? choice.ended : null;
    return { decision, ended };
  }
}

/**
 * Gives the answer to the supervisor. False: it does not offer this decision (mode `safe` remembers nothing), so the
 * question is still open and has to be asked again; the reason was printed.
 */
export async function sendAnswer(
  terminal: Terminal,
  conversation: Conversation,
  row: ApprovalRow,
  decision: ApprovalDecision,
): Promise<boolean> {
  try {
    await conversation.answer(row.id, decision);
    return true;
  } catch (error) {
    const fault = asFault(error);
    if (fault.code !== 'invalid_argument') throw fault;
    printFault(terminal, fault);
    return false;
  }
}

/** One question outside of a chat: takes the keyboard for it, and ends the turn when the person leaves. */
export async function answerFromTerminal(io: Io, conversation: Conversation, row: ApprovalRow): Promise<void> {
  const input = new KeyInput(io.stdin, io.editorOutput, io.keyQuietMs === undefined ? {} : { quietMs: io.keyQuietMs });
  try {
    const never = new AbortController().signal;
    let answer = await askApproval(io.err, input, row, io.now, never);
    while (answer.decision !== null && !(await sendAnswer(io.err, conversation, row, answer.decision))) {
      answer = await askApproval(io.err, input, row, io.now, never);
    }
    if (answer.ended !== null) {
      await conversation.cancelTurn();
      conversation.abandonTurn(new Fault('cancelled', 'interrupted'));
    }
  } finally {
    input.close();
  }
}
