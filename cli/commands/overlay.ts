import type { CommitResult, DiffRow, RollbackResult } from '../../abi/control.js';
import { EXIT } from '../../abi/errno.js';
import type { ControlClient } from '../client.js';
import { type CommandRun, findSession, withClient } from '../context.js';
import { readRecord, readRows } from '../results.js';
import { printCommit, printDiff, printRollback } from '../view/diff-view.js';

/** A workspace may be large and a disk slow; writing through is not a question of a moment. */
const OVERLAY_WAIT_MS = 120_000;

export interface OverlayScope {
  readonly session: string;
  /** All of the overlay when empty. */
  readonly paths: readonly string[];
}

function paramsOf(scope: OverlayScope): { session: string; paths?: string[] } {
  return { session: scope.session, ...(scope.paths.length === 0 ? {} : { paths: [...scope.paths] }) };
}

export async function readDiff(client: ControlClient, scope: OverlayScope): Promise<readonly DiffRow[]> {
  const result = await client.request('overlay.diff', paramsOf(scope), { waitMs: OVERLAY_WAIT_MS });
  return readRows<DiffRow>(result, 'overlay.diff');
}

export async function commitOverlay(client: ControlClient, scope: OverlayScope): Promise<CommitResult> {
  const result = await client.request('overlay.commit', paramsOf(scope), { waitMs: OVERLAY_WAIT_MS });
  return readRecord<CommitResult>(result, 'overlay.commit');
}

export async function rollbackOverlay(client: ControlClient, scope: OverlayScope): Promise<RollbackResult> {
  const result = await client.request('overlay.rollback', paramsOf(scope), { waitMs: OVERLAY_WAIT_MS });
  return readRecord<RollbackResult>(result, 'overlay.rollback');
}

/** `astrid diff [paths..]` */
export const runDiff: CommandRun = (context, args) =>
  withClient(context, async (client) => {
    const session = await findSession(context, client, args.text('session'));
    const rows = await readDiff(client, { session, paths: args.texts('paths') });
    if (context.json) context.io.out.json(rows);
    else printDiff(context.io.out, rows);
    return EXIT.ok;
  });

/** `astrid commit [paths..]`: fails, having committed the rest, when a file changed in the workspace meanwhile. */
export const runCommit: CommandRun = (context, args) =>
  withClient(context, async (client) => {
    const session = await findSession(context, client, args.text('session'));
    const result = await commitOverlay(client, { session, paths: args.texts('paths') });
    if (context.json) context.io.out.json(result);
    else printCommit(context.io.out, result);
    return result.conflicts.length === 0 ? EXIT.ok : EXIT.failed;
  });

/** `astrid rollback [paths..]` */
export const runRollback: CommandRun = (context, args) =>
  withClient(context, async (client) => {
    const session = await findSession(context, client, args.text('session'));
    const result = await rollbackOverlay(client, { session, paths: args.texts('paths') });
    if (context.json) context.io.out.json(result);
    else printRollback(context.io.out, result);
    return EXIT.ok;
  });
