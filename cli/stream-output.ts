import { EXIT } from '../abi/errno.js';
import type { CommandContext } from './context.js';
import type { EventStream } from './event-stream.js';

/**
 * A stream on standard output, until it ends or the user interrupts. As JSON: one array when it is finite, one value
 * per line when it is followed, since an array that never closes is of no use to a reader. Returns the exit code.
 */
export async function printStream(
  context: CommandContext,
  stream: EventStream,
  follow: boolean,
  printRow: (event: unknown) => void,
): Promise<number> {
  const { io, json } = context;
  const collected: unknown[] = [];
  let exitCode: number = EXIT.ok;
  const stopListening = io.onInterrupt(() => {
    exitCode = EXIT.interrupted;
    stream.cancel();
  });
  try {
    for await (const event of stream) {
      if (!json) printRow(event);
      else if (follow) io.out.json(event);
      else collected.push(event);
      // Wait for a slow reader here, where the stream's bound counts what piles up behind it.
      await io.out.drained();
    }
  } finally {
    stopListening();
  }
  if (json && !follow) io.out.json(collected);
  return exitCode;
}
