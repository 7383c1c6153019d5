import { realpath } from 'node:fs/promises';
import type { SessionRow } from '../abi/control.js';
import { Fault } from '../abi/errno.js';
import { ControlClient } from './client.js';
import { type EnsureOptions, ensureSupervisor } from './daemon.js';
import { openHome } from './home.js';
import type { Io } from './io.js';
import { readRows } from './results.js';
import { paint } from './view/terminal.js';

/** What every command gets. */
export interface CommandContext {
  readonly io: Io;
  readonly homePath: string;
  /** Results as JSON instead of tables. */
  readonly json: boolean;
  /** How to start a supervisor; a test puts another program here. */
  readonly start?: EnsureOptions;
}

/** Returns the exit code. */
export type CommandRun = (context: CommandContext, args: CommandArguments) => Promise<number>;

/** The parsed command line, read by name and kind. */
export class CommandArguments {
  readonly #values: Readonly<Record<string, unknown>>;

  constructor(values: Readonly<Record<string, unknown>>) {
    this.#values = values;
  }

  text(name: string): string | undefined {
    const value = this.#values[name];
    if (Array.isArray(value)) throw new Fault('invalid_argument', `--${name} may be given once`, { field: name });
    return value === undefined ? undefined : String(value);
  }

  requiredText(name: string): string {
    const value = this.text(name);
    if (value === undefined || value === '') {
      throw new Fault('invalid_argument', `${name} must not be empty`, { field: name });
    }
    return value;
  }

  flag(name: string): boolean {
    return this.#values[name] === true;
  }

  texts(name: string): readonly string[] {
    const value = this.#values[name];
    return Array.isArray(value) ? value.map(String) : [];
  }

  /** A whole number of at least `min`, or undefined when it was not given. `label` is its name on the command line. */
  integer(name: string, min: number, max: number, label = `--${name}`): number | undefined {
    const text = this.text(name);
    if (text === undefined) return undefined;
    const value = Number(text);
    if (!/^\d+$/.test(text) || value < min || value > max) {
      const found = JSON.stringify(text);
      throw new Fault('invalid_argument', `${label} must be a whole number from ${min} to ${max}, not ${found}`, {
        field: name,
      });
    }
    return value;
  }
}

/** Runs `use` with a client of the running supervisor; faults with `not_running` when there is none. */
export async function withClient<T>(context: CommandContext, use: (client: ControlClient) => Promise<T>): Promise<T> {
  const home = await openHome(context.homePath);
  try {
    const client = await ControlClient.connect(home);
    try {
      return await use(client);
    } finally {
      client.close();
    }
  } finally {
    await home.close();
  }
}

/** A client of this home's supervisor, started if necessary, with a line on a terminal while that takes. */
export async function connectOrStart(context: CommandContext, onStart?: () => void): Promise<ControlClient> {
  const { io } = context;
  const tell = () => {
    if (io.err.isTTY) io.err.line(paint('dim', 'starting the supervisor …'));
  };
  return ensureSupervisor(context.homePath, { env: io.env, ...context.start, onStart: onStart ?? tell });
}

/** The workspace as the supervisor is told it: absolute, no symbolic links, so that two spellings are one. */
export async function resolveWorkspace(io: Io): Promise<string> {
  return realpath(io.cwd);
}

/** The session a command acts on: the one named, else the newest of this workspace. Fault `not_found`. */
export async function findSession(context: CommandContext, client: ControlClient, named?: string): Promise<string> {
  if (named !== undefined) return named;
  const workspace = await resolveWorkspace(context.io);
  const rows = readRows<SessionRow>(await client.request('session.list', {}), 'session.list');
  const newest = rows.filter((row) => row.workspace === workspace).sort((a, b) => b.createdAt - a.createdAt)[0];
  if (newest === undefined) {
    throw new Fault(
      'not_found',
      `no session of ${workspace}; open one with \`astrid chat\` or name one with --session`,
    );
  }
  return newest.id;
}
