import type { KillResult } from '../../abi/control.js';
import { EXIT } from '../../abi/errno.js';
import { LIMITS } from '../../abi/limits.js';
import { REQUEST_WAIT_MS } from '../client.js';
import { type CommandRun, withClient } from '../context.js';
import { readRecord } from '../results.js';

/** The grace before KILL and the wait until it is ready again come on top of the usual deadline. */
const RESTART_WAIT_MS = LIMITS.killGraceMs + LIMITS.loadWaitMs + REQUEST_WAIT_MS;

interface TargetResult {
  /** The capsule that the target, a name or a pid, stands for. */
  readonly capsule: string;
}

/**
 * `astrid kill <capsule|pid>`: TERM, grace, KILL; what happens next is the capsule's restart policy. A hook that runs under the name
 * is ended first, and then what it was for is undone.
 */
export const runKill: CommandRun = (context, args) =>
  withClient(context, async (client) => {
    const target = args.requiredText('target');
    const result = readRecord<KillResult>(await client.request('kill', { target }), 'kill');
    if (context.json) context.io.out.json(result);
    else {
      const what =
        result.hook === undefined ? '' : `, to its ${result.hook} hook: the ${result.hook} fails and is undone`;
      context.io.out.line(
        `${result.capsule}: TERM sent${what}, KILL after ${LIMITS.killGraceMs / 1000} s; see: astrid ps`,
      );
    }
    return EXIT.ok;
  });

/** `astrid restart <capsule|pid>` */
export const runRestart: CommandRun = (context, args) =>
  withClient(context, async (client) => {
    const target = args.requiredText('target');
    const answer = await client.request('restart', { target }, { waitMs: RESTART_WAIT_MS });
    const result = readRecord<TargetResult>(answer, 'restart');
    if (context.json) context.io.out.json(result);
    else context.io.out.line(`${result.capsule} was restarted`);
    return EXIT.ok;
  });
