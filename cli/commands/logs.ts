import type { LogRow } from '../../abi/control.js';
import { type CommandRun, withClient } from '../context.js';
import { readRecord } from '../results.js';
import { printStream } from '../stream-output.js';
import { formatTime } from '../view/human.js';
import { styleOfLevel } from '../view/log-style.js';
import { paint, type Terminal } from '../view/terminal.js';

function printLogRow(terminal: Terminal, row: LogRow): void {
  terminal.line(
    paint('dim', `${formatTime(row.time)} `),
    paint('cyan', `${row.capsule} `),
    paint(styleOfLevel(row.level), `${row.level.padEnd(5)} ${row.message}`),
  );
}

/** `astrid logs [-f] [-n N] [capsule]` */
export const runLogs: CommandRun = async (context, args) => {
  const capsule = args.text('capsule');
  const follow = args.flag('follow');
  const lines = args.integer('lines', 0, 10_000);
  return withClient(context, async (client) => {
    const stream = await client.stream('logs', {
      follow,
      ...(lines === undefined ? {} : { lines }),
      ...(capsule === undefined ? {} : { capsule }),
    });
    return printStream(context, stream, follow, (event) =>
      printLogRow(context.io.out, readRecord<LogRow>(event, 'logs')),
    );
  });
};
