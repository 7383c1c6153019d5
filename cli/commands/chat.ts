import { createInterface } from 'node:readline';
import { asFault, EXIT, exitCodeOf } from '../../abi/errno.js';
import { ChatLink } from '../chat-link.js';
import { ChatScreen } from '../chat-screen.js';
import type { CommandContext, CommandRun } from '../context.js';
import { type ConversationEvent, EXIT_BY_OUTCOME } from '../conversation.js';
import { isInteractive } from '../io.js';
import { KeyInput } from '../key-input.js';
import { readMode } from '../modes.js';
import { runLine } from '../slash-commands.js';
import { printFault } from '../view/fault-view.js';
import { paint } from '../view/terminal.js';

/** `astrid chat`: a conversation on a terminal; without one, a prompt per line of standard input. */
export const runChat: CommandRun = async (context, args) => {
  const options = { session: args.text('session'), mode: readMode(args.text('mode')) };
  if (!isInteractive(context.io)) return runPiped(context, options);
  const { io } = context;
  const input = new KeyInput(io.stdin, io.editorOutput, io.keyQuietMs === undefined ? {} : { quietMs: io.keyQuietMs });
  try {
    const screen = new ChatScreen(context, input, options);
    return await screen.run();
  } finally {
    input.close();
  }
};

/** Nothing is asked and nothing but answers is printed. The exit code is that of the last turn that was not ok. */
async function runPiped(
  context: CommandContext,
  options: Pick<ConstructorParameters<typeof ChatLink>[1], 'session' | 'mode'>,
): Promise<number> {
  const { io } = context;
  const print = (event: ConversationEvent) => {
    if (context.json && event.type !== 'lost') io.out.json(event);
    else if (event.type === 'response' && event.isFinal) io.out.prose(`${event.text.replace(/\n$/, '')}\n`);
  };
  const link = new ChatLink(
    context,
    { ...options, interactive: false },
    { onEvent: print, onNotice: (text) => io.err.line(paint('yellow', `astrid: ${text}`)) },
  );
  let exitCode: number = EXIT.ok;
  try {
    await link.conversation();
    for await (const line of createInterface({ input: io.stdin, crlfDelay: Number.POSITIVE_INFINITY })) {
      if (line.trim() === '') continue;
      try {
        const conversation = await link.conversation();
        const outcome = await runLine(conversation, line);
        if (outcome !== 'ok') exitCode = EXIT_BY_OUTCOME[outcome];
      } catch (error) {
        const fault = asFault(error);
        printFault(io.err, fault);
        exitCode = exitCodeOf(fault.code);
      }
    }
  } finally {
    link.close();
  }
  return exitCode;
}
