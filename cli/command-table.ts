import type { Options, PositionalOptions } from 'yargs';
import { CAPSULE_AUTHOR_COMMANDS } from './capsule-author-commands.js';
import { CAPSULE_CONFIG_COMMANDS } from './capsule-config-commands.js';
import { CAPSULE_STORE_COMMANDS } from './capsule-store-commands.js';
import type { CommandRun } from './context.js';
import { MODE_MEANINGS } from './modes.js';

/** One command: what its line looks like, and where its code is. The code is loaded when the command is run. */
export interface CommandRow {
  /** yargs syntax; `$0` is what runs without a command. */
  readonly syntax: string | readonly string[];
  readonly summary: string;
  readonly options?: Readonly<Record<string, Options>>;
  readonly positionals?: Readonly<Record<string, PositionalOptions>>;
  readonly load?: () => Promise<CommandRun>;
  readonly children?: readonly CommandRow[];
}

const SESSION: Options = {
  type: 'string',
  describe: 'session id; for diff, commit, rollback the newest here',
  requiresArg: true,
};
const MODE: Options = {
  type: 'string',
  requiresArg: true,
  describe: `when to ask: ${Object.entries(MODE_MEANINGS)
    .map(([mode, meaning]) => `${mode} (${meaning})`)
    .join(', ')}`,
};
const FOLLOW: Options = {
  type: 'boolean',
  alias: 'f',
  describe: 'keep printing what comes; with --json one value per line',
};
const LINES: Options = { type: 'string', alias: 'n', describe: 'how many of the last lines first', requiresArg: true };
const PATHS: PositionalOptions = { type: 'string', array: true, describe: 'only these paths of the workspace' };
const TARGET: PositionalOptions = { type: 'string', describe: 'name of a capsule, or a pid of `astrid ps`' };
const AUDIT_FILES: Readonly<Record<string, Options>> = {
  dir: { type: 'string', requiresArg: true, describe: 'directory of the log segments [var/audit of the home]' },
  key: { type: 'string', requiresArg: true, describe: 'file with the pinned public key [keys/audit.pub of the home]' },
};

const SESSION_COMMANDS: readonly CommandRow[] = [
  {
    syntax: '$0',
    summary: 'one prompt with -p, its answer on standard output',
    options: {
      prompt: { type: 'string', alias: 'p', describe: 'run one turn and exit; standard input is appended to the text' },
      yes: {
        type: 'boolean',
        describe: 'allow once what the kernel asks about files of the workspace; the rest is queued',
      },
      session: SESSION,
      mode: MODE,
      timeout: { type: 'string', requiresArg: true, describe: 'seconds until the turn is cancelled [600]' },
    },
    load: async () => (await import('./commands/prompt.js')).runPrompt,
  },
  {
    syntax: 'chat',
    summary: 'talk to the agent; starts what is not running',
    options: { session: { ...SESSION, describe: 'resume this session' }, mode: MODE },
    load: async () => (await import('./commands/chat.js')).runChat,
  },
  {
    syntax: 'sessions',
    summary: 'list the sessions, newest first',
    load: async () => (await import('./commands/sessions.js')).runSessions,
  },
  {
    syntax: 'diff [paths..]',
    summary: 'what a session changed in its overlay',
    options: { session: SESSION },
    positionals: { paths: PATHS },
    load: async () => (await import('./commands/overlay.js')).runDiff,
  },
  {
    syntax: 'commit [paths..]',
    summary: 'write these changes to the workspace',
    options: { session: SESSION },
    positionals: { paths: PATHS },
    load: async () => (await import('./commands/overlay.js')).runCommit,
  },
  {
    syntax: 'rollback [paths..]',
    summary: 'drop these changes',
    options: { session: SESSION },
    positionals: { paths: PATHS },
    load: async () => (await import('./commands/overlay.js')).runRollback,
  },
];

const APPROVAL_COMMANDS: readonly CommandRow[] = [
  {
    syntax: ['list', '$0'],
    summary: 'what waits for an answer: what, who, why',
    options: { session: { type: 'string', requiresArg: true, describe: 'only of this session' } },
    load: async () => (await import('./commands/approvals.js')).runApprovalsList,
  },
  {
    syntax: 'allow <id>',
    summary: 'allow once',
    options: { session: { type: 'boolean', describe: 'allow for the rest of its session' } },
    positionals: { id: { type: 'string', describe: 'id of the approval' } },
    load: async () => (await import('./commands/approvals.js')).runApprovalsAllow,
  },
  {
    syntax: 'deny <id>',
    summary: 'deny',
    positionals: { id: { type: 'string', describe: 'id of the approval' } },
    load: async () => (await import('./commands/approvals.js')).runApprovalsDeny,
  },
];

const AUDIT_COMMANDS: readonly CommandRow[] = [
  {
    syntax: 'tail',
    summary: 'the last entries of the log',
    options: { follow: FOLLOW, lines: LINES },
    load: async () => (await import('./commands/audit.js')).runAuditTail,
  },
  {
    syntax: 'verify',
    summary: 'check the whole log offline, from its files and the pinned key',
    options: {
      ...AUDIT_FILES,
      principal: { type: 'string', requiresArg: true, describe: 'follow the links of this principal only' },
      checkpoint: {
        type: 'string',
        requiresArg: true,
        describe: 'a checkpoint file from elsewhere that the log must contain',
      },
      proof: { type: 'string', requiresArg: true, describe: 'check this proof file instead; needs no log' },
    },
    load: async () => (await import('./commands/audit.js')).runAuditVerify,
  },
  {
    syntax: 'prove <index>',
    summary: 'a proof that the log holds an entry, for somebody without the log',
    options: AUDIT_FILES,
    positionals: { index: { type: 'string', describe: 'index of the entry' } },
    load: async () => (await import('./commands/audit.js')).runAuditProve,
  },
];

const SYSTEM_COMMANDS: readonly CommandRow[] = [
  { syntax: 'ps', summary: 'the capsules as processes', load: async () => (await import('./commands/ps.js')).runPs },
  {
    syntax: 'kill <target>',
    summary: 'end a capsule: TERM, grace, KILL',
    positionals: { target: TARGET },
    load: async () => (await import('./commands/kill.js')).runKill,
  },
  {
    syntax: 'restart <target>',
    summary: 'end a capsule and start it again',
    positionals: { target: TARGET },
    load: async () => (await import('./commands/kill.js')).runRestart,
  },
  {
    syntax: 'logs [capsule]',
    summary: 'what the capsules log',
    options: { follow: FOLLOW, lines: LINES },
    positionals: { capsule: { type: 'string', describe: 'only this capsule' } },
    load: async () => (await import('./commands/logs.js')).runLogs,
  },
  { syntax: 'status', summary: 'the supervisor', load: async () => (await import('./commands/status.js')).runStatus },
  {
    syntax: 'capsule',
    summary: 'capsules: make, test, install, set up, look at, remove',
    children: [...CAPSULE_AUTHOR_COMMANDS, ...CAPSULE_STORE_COMMANDS, ...CAPSULE_CONFIG_COMMANDS],
  },
  { syntax: 'approvals', summary: 'what waits for an answer', children: APPROVAL_COMMANDS },
  { syntax: 'audit', summary: 'the log that proves what ran', children: AUDIT_COMMANDS },
  {
    syntax: 'start',
    summary: 'start the supervisor',
    load: async () => (await import('./commands/lifecycle.js')).runStart,
  },
  {
    syntax: 'stop',
    summary: 'stop the supervisor and every capsule',
    load: async () => (await import('./commands/lifecycle.js')).runStop,
  },
  {
    syntax: 'build <dir>',
    summary: 'build the capsule in a directory, or every capsule below it',
    options: {
      out: {
        type: 'string',
        alias: 'o',
        requiresArg: true,
        describe: 'where the result goes [dist beside the capsules]',
      },
    },
    positionals: { dir: { type: 'string', describe: 'directory with a Capsule.toml, or with capsules in it' } },
    load: async () => (await import('./commands/build.js')).runBuild,
  },
  {
    syntax: 'doctor',
    summary: 'what this machine has for isolation, and what to do',
    load: async () => (await import('./commands/doctor.js')).runDoctor,
  },
];

/** Every command of `astrid`, in the order of the help. */
export const COMMAND_TABLE: readonly CommandRow[] = [...SESSION_COMMANDS, ...SYSTEM_COMMANDS];

export const EXAMPLES: readonly (readonly [string, string])[] = [
  ['astrid chat', 'talk to the agent about the files here'],
  ['astrid -p "list the files here"', 'one prompt, the answer on standard output'],
  ['git diff | astrid -p "review this" --json', 'events as JSON, one per line'],
  ['astrid diff && astrid commit', 'see what the agent changed, then keep it'],
  ['astrid logs -f fs', 'follow the log of one capsule'],
  ['astrid audit verify', 'prove that the log is complete and unchanged'],
];
