import { commitOverlay, readDiff, rollbackOverlay } from './commands/overlay.js';
import { printProcesses } from './commands/ps.js';
import type { Conversation } from './conversation.js';
import { MODE_MEANINGS, readMode } from './modes.js';
import { printCommit, printDiff, printRollback } from './view/diff-view.js';
import { paint, type Terminal } from './view/terminal.js';

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
  const wanted = readMode(words[0]);
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
  help: { usage: '/help', summary: 'this list', run: async ({ terminal }) => printHelp(terminal) },
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

function printHelp(terminal: Terminal): SlashResult {
  for (const row of Object.values(COMMANDS)) terminal.line(paint('bold', row.usage.padEnd(20)), row.summary);
  terminal.line(paint('dim', 'Ctrl-C cancels the turn, twice leaves; Ctrl-D leaves.'));
  return 'done';
}

/** True for what `runSlash` takes: a slash and a letter first. A path that begins with a slash is one too. */
export function isSlash(text: string): boolean {
  return /^\/[a-z]+(?:\s|$)/.test(text);
}

/** Runs one slash command; an unknown one is told, not sent to the agent. Faults of the supervisor are thrown. */
export async function runSlash(scope: SlashScope, text: string): Promise<SlashResult> {
  const [name = '', ...words] = text.slice(1).trim().split(/\s+/);
  const row = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (row !== undefined) return row.run(scope, words);
  scope.terminal.line(paint('yellow', `no command /${name}; /help lists them`));
  return 'done';
}
