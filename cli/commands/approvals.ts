import type { ApprovalDecision, ApprovalRow } from '../../abi/control.js';
import { EXIT, Fault } from '../../abi/errno.js';
import type { ControlClient } from '../client.js';
import { type CommandContext, type CommandRun, withClient } from '../context.js';
import { readRows } from '../results.js';
import { layOutApproval, printCard } from '../view/approval-card.js';
import { paint, type Terminal } from '../view/terminal.js';

/** Fewer characters of an id are not taken for it. */
const ID_CHARS_MIN = 6;

async function readApprovals(client: ControlClient, session?: string): Promise<readonly ApprovalRow[]> {
  const params = session === undefined ? {} : { session };
  return readRows<ApprovalRow>(await client.request('approvals.list', params), 'approvals.list');
}

/** Without a terminal there is no width to fit; a card per row still reads better than a table of cut cells. */
function printApprovals(terminal: Terminal, rows: readonly ApprovalRow[], now: number): void {
  if (rows.length === 0) terminal.line(paint('dim', 'nothing waits for an approval'));
  const columns = terminal.isTTY ? terminal.columns : 200;
  for (const row of rows) {
    const rowsMax = terminal.isTTY ? terminal.rows : Number.POSITIVE_INFINITY;
    printCard(terminal, layOutApproval(row, { columns, rows: rowsMax, now, reserve: 0 }));
  }
}

/** `astrid approvals [list]` */
export const runApprovalsList: CommandRun = (context, args) =>
  withClient(context, async (client) => {
    const rows = await readApprovals(client, args.text('session'));
    if (context.json) context.io.out.json(rows);
    else printApprovals(context.io.out, rows, context.io.now());
    return EXIT.ok;
  });

/** The row with this id, or the only one whose id begins with it. Faults: `not_found`, `invalid_argument`. */
function findApproval(rows: readonly ApprovalRow[], id: string): ApprovalRow {
  const found = rows.filter((row) => row.id === id || (id.length >= ID_CHARS_MIN && row.id.startsWith(id)));
  const [row, second] = found;
  if (row === undefined) throw new Fault('not_found', `no approval ${JSON.stringify(id)}; see: astrid approvals`);
  if (second === undefined) return row;
  throw new Fault('invalid_argument', `${found.length} approvals begin with ${JSON.stringify(id)}; give more of it`, {
    field: 'id',
  });
}

/** Looked up first: an answer says what it was given to, and an id that is not there is an error, not a success. */
async function settle(context: CommandContext, id: string, decision: ApprovalDecision): Promise<number> {
  return withClient(context, async (client) => {
    const row = findApproval(await readApprovals(client), id);
    await client.request('approvals.answer', { id: row.id, decision });
    if (context.json) context.io.out.json({ ...row, decision });
    else {
      const verb = decision === 'deny' ? paint('red', 'denied ') : paint('green', 'allowed ');
      const scope = decision === 'session' ? ' for the session' : '';
      context.io.out.line(verb, `${row.capsule} ${row.action} ${row.resource}${scope}`);
    }
    return EXIT.ok;
  });
}

/** `astrid approvals allow ID [--session]` */
export const runApprovalsAllow: CommandRun = (context, args) =>
  settle(context, args.requiredText('id'), args.flag('session') ? 'session' : 'once');

/** `astrid approvals deny ID` */
export const runApprovalsDeny: CommandRun = (context, args) => settle(context, args.requiredText('id'), 'deny');
