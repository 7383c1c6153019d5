import { commitOverlay, readDiff, rollbackOverlay } from './commands/overlay.js';
import { printProcesses } from './commands/ps.js';
import type { Conversation } from './conversation.js';
import { MODE_MEANINGS, readMode } from './modes.js';
import type { TurnOutcome } from './turn-events.js';
import { printCommit, printDiff, printRollback } from './view/diff-view.js';
import { sanitizeLine } from './view/sanitize.js';
import { paint, type Terminal } from './view/terminal.js';

const USAGE_COLUMNS = 20;

export interface SlashScope {
  readonly terminal: Terminal;
  readonly conversation: Conversation;
}

/** `quit` leaves the chat. */
export type SlashResult = 'done' | 'quit';

interface SlashRow {
  readonly usage: string;
  readonly summary: string;
  readonly run: (scope: SlashScope, words: readonly string[]) => Promise<SlashResult>;
}

async function showMode({ terminal, conversation }: SlashScope, words: readonly string[]): Promise<SlashResult> {
  const wanted = readMode(words[0], 'mode');
  if (wanted !== undefined) {
    const row = await conversation.setMode(wanted);
    terminal.line(`mode is now ${row.mode}: ${MODE_MEANINGS[row.mode] ?? ''}`);
    return 'done';
  }
  for (const [mode, meaning] of Object.entries(MODE_MEANINGS)) {
    const mark = mode === conversation.mode ? '* ' : '  ';
    terminal.line(paint('bold', `${mark}${mode}`.padEnd(14)), meaning);
  }
  return 'done';
}

const COMMANDS: Readonly<Record<string, SlashRow>> = {
  help: { usage: '/help', summary: 'this list', run: printHelp },
  diff: {
    usage: '/diff [paths]',
    summary: 'what the overlay changed',
    run: async ({ terminal, conversation }, paths) => {
      printDiff(terminal, await readDiff(conversation.client, { session: conversation.session.id, paths }));
      return 'done';
    },
  },
  commit: {
    usage: '/commit [paths]',
    summary: 'write the changes to the workspace',
    run: async ({ terminal, conversation }, paths) => {
      printCommit(terminal, await commitOverlay(conversation.client, { session: conversation.session.id, paths }));
      return 'done';
    },
  },
  rollback: {
    usage: '/rollback [paths]',
    summary: 'drop the changes',
    run: async ({ terminal, conversation }, paths) => {
      printRollback(terminal, await rollbackOverlay(conversation.client, { session: conversation.session.id, paths }));
      return 'done';
    },
  },
  ps: {
    usage: '/ps',
    summary: 'the processes',
    run: async ({ terminal, conversation }) => {
      await printProcesses(terminal, conversation.client);
      return 'done';
    },
  },
  mode: { usage: '/mode [mode]', summary: 'show or set when to ask', run: showMode },
  session: {
    usage: '/session',
    summary: 'this session, and how to come back to it',
    run: async ({ terminal, conversation }) => {
      const { id, workspace, principal } = conversation.session;
      terminal.line(`session ${id}, ${principal}, mode ${conversation.mode}, workspace ${workspace}`);
      terminal.line(paint('dim', `come back with: astrid chat --session ${id}`));
      return 'done';
    },
  },
  quit: { usage: '/quit', summary: 'leave; the session stays', run: async () => 'quit' },
};

async function printHelp({ terminal, conversation }: SlashScope): Promise<SlashResult> {
  for (const row of Object.values(COMMANDS)) terminal.line(paint('bold', row.usage.padEnd(USAGE_COLUMNS)), row.summary);
  const theirs = (await conversation.listCommands()).filter(({ name }) => !Object.hasOwn(COMMANDS, name));
  if (theirs.length > 0) terminal.line(paint('dim', 'of capsules:'));
  for (const { name, description, capsule } of theirs) {
    const words = description === null ? `of ${capsule}` : `${description} (${capsule})`;
    terminal.line(paint('bold', sanitizeLine(`/${name}`).padEnd(USAGE_COLUMNS)), sanitizeLine(words));
  }
  terminal.line(paint('dim', 'Ctrl-C cancels the turn, twice leaves; Ctrl-D leaves.'));
  return 'done';
}

/** The name behind the slash; null for text that is no command. A path with more than one segment is none. */
function commandName(text: string): string | null {
  return /^\/([A-Za-z][\w:.-]{0,127})(?:\s|$)/.exec(text)?.[1] ?? null;
}

/** True for what `runSlash` takes. */
export function isSlash(text: string): boolean {
  return commandName(text) !== null;
}

/** True for a slash command that a capsule has, and the chat itself has not. */
export async function isCapsuleCommand(conversation: Conversation, text: string): Promise<boolean> {
  const name = commandName(text);
  if (name === null || Object.hasOwn(COMMANDS, name)) return false;
  return (await conversation.listCommands()).some((row) => row.name === name);
}

/** What somebody said who has no screen: a command of a capsule goes to it, anything else to the agent. */
export async function runLine(conversation: Conversation, text: string): Promise<TurnOutcome> {
  const isTheirs = await isCapsuleCommand(conversation, text);
  return isTheirs ? conversation.runCommand(text) : conversation.runTurn(text);
}

/** Runs one slash command, the chat's own or a capsule's; an unknown one is told, not sent to the agent. Faults are thrown. */
export async function runSlash(scope: SlashScope, text: string): Promise<SlashResult> {
  const name = commandName(text) ?? '';
  const words = text.trim().split(/\s+/).slice(1);
  const row = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (row !== undefined) return row.run(scope, words);
  if (await isCapsuleCommand(scope.conversation, text)) await scope.conversation.runCommand(text.trim());
  else scope.terminal.line(paint('yellow', `no command /${name}; /help lists them`));
  return 'done';
}
