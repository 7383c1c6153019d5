import { EXIT } from '../../abi/errno.js';
import { LIMITS } from '../../abi/limits.js';
import { REQUEST_WAIT_MS } from '../client.js';
import { type CommandRun, withClient } from '../context.js';

/** The grace before KILL, and on a restart the wait until it is ready again, come on top of the usual deadline. */
const KILL_WAIT_MS = LIMITS.killGraceMs + REQUEST_WAIT_MS;
const RESTART_WAIT_MS = LIMITS.killGraceMs + LIMITS.loadWaitMs + REQUEST_WAIT_MS;

/** `astrid kill <capsule|pid>`: TERM, grace, KILL; what happens next is the capsule's restart policy. */
export const runKill: CommandRun = (context, args) =>
  withClient(context, async (client) => {
    const target = args.requiredText('target');
    const result = await client.request('kill', { target }, { waitMs: KILL_WAIT_MS });
    if (context.json) context.io.out.json(result ?? { target });
    else context.io.out.line(`${target} was ended; its restart policy decides what follows`);
    return EXIT.ok;
  });

/** `astrid restart <capsule|pid>` */
export const runRestart: CommandRun = (context, args) =>
  withClient(context, async (client) => {
    const target = args.requiredText('target');
    const result = await client.request('restart', { target }, { waitMs: RESTART_WAIT_MS });
    if (context.json) context.io.out.json(result ?? { target });
    else context.io.out.line(`${target} was restarted`);
    return EXIT.ok;
  });
