import { EXIT, type Fault, type FaultCode } from '../../abi/errno.js';
import { paint, type Terminal } from './terminal.js';

/** What to do next, for faults whose message cannot know it. */
const HINTS: Partial<Record<FaultCode, string>> = {
  bad_token: 'the supervisor was restarted or the token was replaced; try again, else: astrid stop && astrid start',
  approval_queued: 'see it with: astrid approvals',
  tier_unavailable: 'see what this machine lacks with: astrid doctor',
  audit_unavailable: 'see its state with: astrid status',
  plan_changed: 'something changed between showing and installing; run it again',
};

/** Writes `astrid: message (code)` and, where there is one, a hint. Never a stack: that is for the log. */
export function printFault(terminal: Terminal, fault: Fault): void {
  const code = ` (${fault.code})`;
  // The message may quote a log and then has several lines; the code belongs to the first.
  const [first = '', ...rest] = fault.message.split('\n');
  terminal.line(paint('red', 'astrid: '), first, paint('dim', code));
  for (const line of rest) terminal.line(line);
  const hint = HINTS[fault.code];
  if (hint !== undefined) terminal.line(paint('dim', `  ${hint}`));
}

/** The table of exit codes for `--help`, from the one definition. */
export const EXIT_CODE_ROWS: readonly { readonly code: number; readonly meaning: string }[] = [
  { code: EXIT.ok, meaning: 'done' },
  { code: EXIT.failed, meaning: 'failed' },
  { code: EXIT.usage, meaning: 'wrong use of the command line' },
  { code: EXIT.notRunning, meaning: 'no supervisor, or the connection to it was lost' },
  { code: EXIT.denied, meaning: 'the gate or a person denied it' },
  { code: EXIT.queued, meaning: 'queued: it waits for an approval (astrid approvals)' },
  { code: EXIT.overBudget, meaning: 'over budget' },
  { code: EXIT.timedOut, meaning: 'timed out' },
  { code: EXIT.badLog, meaning: 'the audit log does not verify' },
  { code: EXIT.interrupted, meaning: 'interrupted (Ctrl-C)' },
];
