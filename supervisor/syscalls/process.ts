import { Fault } from '../../abi/errno.js';
import { commandCovered, parseCommand, quoteCommand } from './command.js';
import { type CallContext, decodeJson, encodeJson, type SyscallHandler } from './handler.js';

export interface CommandRequest {
  readonly argv: readonly string[];
  /** The same in one line, for people and logs. */
  readonly line: string;
}

interface IdRequest {
  readonly id: number;
}

export interface CommandOutput {
  readonly stdout: string;
  readonly stderr: string;
  /** -1 when a signal ended it; null while it runs or once it was reported. */
  readonly exitCode: number | null;
}

/** Commands of capsules, each in a sandbox over the session's workspace (ABI reference 2.9). */
export interface ProcessService {
  run(request: CommandRequest, context: CallContext): Promise<CommandOutput>;
  start(request: CommandRequest, context: CallContext): Promise<number>;
  read(id: number, context: CallContext): CommandOutput & { readonly running: boolean };
  kill(id: number, context: CallContext): Promise<CommandOutput>;
  mayUseNetwork(capsule: string): boolean;
}

export function makeProcessHandlers(processes: ProcessService) {
  const shape = ({ stdout, stderr, exitCode }: CommandOutput) => ({ stdout, stderr, exit_code: exitCode });
  const command = (run: SyscallHandler<CommandRequest>['run']): SyscallHandler<CommandRequest> => ({
    decode: ([request]) => decodeCommand(decodeJson(request, 'request')),
    resource: ({ line }) => line,
    covers: ({ argv }, { manifest }) => {
      const entries = manifest.capabilities.host_process;
      return Array.isArray(entries) && commandCovered(entries, argv);
    },
    preview: async ({ argv }, { capsule }) => previewOf(argv, processes.mayUseNetwork(capsule)),
    run: (request, context) => {
      // The same refusal as upstream's, which has no gate then; the field says what it is about.
      if (context.phase !== 'normal')
        throw new Fault('policy_denied', `Security Check Failed: no commands during ${context.phase}`, {
          field: 'cmd',
        });
      return run(request, context);
    },
  });
  const byId = (run: SyscallHandler<IdRequest>['run']): SyscallHandler<IdRequest> => ({
    decode: ([request]) => ({ id: decodeId(decodeJson(request, 'request')) }),
    resource: ({ id }) => `process:${id}`,
    run,
  });
  return {
    astrid_spawn_host: command(async (request, context) => encodeJson(shape(await processes.run(request, context)))),
    astrid_spawn_background_host: command(async (request, context) =>
      encodeJson({ id: await processes.start(request, context) }),
    ),
    astrid_read_process_logs_host: byId(({ id }, context) => {
      const output = processes.read(id, context);
      return encodeJson({ ...shape(output), running: output.running });
    }),
    astrid_kill_process_host: byId(async ({ id }, context) =>
      encodeJson({ killed: true, ...shape(await processes.kill(id, context)) }),
    ),
  };
}

function decodeCommand(value: unknown): CommandRequest {
  const cmd = fieldOf(value, 'cmd');
  const args = fieldOf(value, 'args') ?? [];
  if (typeof cmd !== 'string') throw new Fault('invalid_argument', 'cmd: expected text', { field: 'cmd' });
  if (!Array.isArray(args) || !args.every((word): word is string => typeof word === 'string'))
    throw new Fault('invalid_argument', 'args: expected a list of texts', { field: 'args' });
  const argv = parseCommand(cmd, args);
  return { argv, line: quoteCommand(argv) };
}

function decodeId(value: unknown): number {
  const id = fieldOf(value, 'id');
  if (typeof id !== 'number' || !Number.isSafeInteger(id) || id < 0)
    throw new Fault('invalid_argument', 'id: expected a whole number', { field: 'id' });
  return id;
}

function fieldOf(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined;
}

/** Word by word, so that no space and no quote in an argument looks like two. */
function previewOf(argv: readonly string[], network: boolean): string[] {
  return [
    `run ${quoteCommand(argv)}`,
    ...argv.map((word, index) => (index === 0 ? `program: ${word}` : `argument ${index}: ${JSON.stringify(word)}`)),
    'working directory: cwd://',
    `network: ${network ? 'yes, granted in config.toml' : 'no'}`,
    'changes go to the overlay, not to the workspace',
  ];
}
