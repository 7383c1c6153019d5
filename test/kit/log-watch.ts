import type { LogRow, ProcessRow } from '../../abi/control.js';
import type { ControlClient } from '../../cli/client.js';

/** The next log line of a capsule that matches, past lines included. The test's own time-out bounds the wait. */
export async function waitForLog(client: ControlClient, capsule: string, pattern: RegExp): Promise<LogRow> {
  return waitForNthLog(client, capsule, pattern, 1);
}

export async function waitForNthLog(
  client: ControlClient,
  capsule: string,
  pattern: RegExp,
  count: number,
): Promise<LogRow> {
  let left = count;
  const stream = await client.stream('logs', { capsule, follow: true });
  try {
    for await (const event of stream) {
      const row = event as LogRow;
      if (pattern.test(row.message) && --left === 0) return row;
    }
  } finally {
    stream.cancel();
  }
  throw new Error(`the log of ${capsule} ended before ${pattern}`);
}

export async function rowOf(client: ControlClient, capsule: string): Promise<ProcessRow> {
  const rows = (await client.request('ps', {})) as ProcessRow[];
  const row = rows.find((candidate) => candidate.capsule === capsule);
  if (row === undefined) throw new Error(`ps has no ${capsule}`);
  return row;
}

/** Opens a session and returns how to speak in it. */
export async function openSession(
  client: ControlClient,
  workspace: string,
  more: { interactive?: boolean; mode?: 'safe' | 'guided' | 'autonomous' | 'yolo'; id?: string } = {},
) {
  const { interactive = true, ...rest } = more;
  const { id } = (await client.request('session.open', { workspace, interactive, ...rest })) as { id: string };
  const say = (text: string) =>
    client.request('bus.publish', {
      session: id,
      topic: 'user.v1.prompt',
      payload: { type: 'user_input', text, session_id: id },
    });
  return { id, say };
}
