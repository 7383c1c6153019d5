import type { EntryPoint } from '../abi/entry-points.js';
import type { CapsuleManifest } from '../abi/manifest.js';
import { encodeRequest } from './proc/guest-request.js';
import type { InvocationOutcome } from './proc/invocation.js';

const TOOL = 'astrid_tool_call:';
const DESCRIBE = 'astrid_tool_call describe';
const COMMAND = 'astrid_command_run';
const COMMAND_TOPIC = 'cli.v1.command.execute';
const ANSWER_TOPIC = 'agent.v1.response';
const DESCRIBE_TOPIC = 'tool.v1.request.describe';
const resultTopic = (tool: string) => `tool.v1.execute.${tool}.result`;

/** An export call that stands for a message, and how its outcome is told on the bus. */
export interface AdaptedCall {
  readonly exportName: EntryPoint;
  readonly input: Buffer;
  answer(outcome: InvocationOutcome): { readonly topic: string; readonly payload: unknown };
}

/**
 * Tools and commands that a manifest declares and the module serves by an export of their own, brought to the topics on which
 * later capsules serve them by interceptors. Kernels up to 0.4 called `astrid_tool_call` by themselves, and nothing since 0.5 calls
 * it or `astrid_command_run`; here a capsule of any age can be used by the same agent.
 */
export class ExportAdaptor {
  readonly #manifest: CapsuleManifest;
  readonly #tools: NonNullable<CapsuleManifest['tools']>;
  readonly #commands: ReadonlySet<string>;

  /** Null when there is nothing to adapt. A run loop serves itself: it can't be called. */
  static for(manifest: CapsuleManifest, entryPoints: readonly EntryPoint[]): ExportAdaptor | null {
    if (entryPoints.includes('run')) return null;
    const tools = entryPoints.includes('astrid_tool_call') ? (manifest.tools ?? []) : [];
    const commands = entryPoints.includes('astrid_command_run') ? manifest.commands.map(({ name }) => name) : [];
    return tools.length + commands.length === 0 ? null : new ExportAdaptor(manifest, tools, commands);
  }

  private constructor(
    manifest: CapsuleManifest,
    tools: NonNullable<CapsuleManifest['tools']>,
    commands: readonly string[],
  ) {
    this.#manifest = manifest;
    this.#tools = tools;
    this.#commands = new Set(commands);
  }

  /** What is registered beside the interceptors of the manifest. */
  get interceptors(): { readonly event: string; readonly action: string }[] {
    const tools = this.#tools.map(({ name }) => ({ event: `tool.v1.execute.${name}`, action: `${TOOL}${name}` }));
    const describe = tools.length === 0 ? [] : [{ event: DESCRIBE_TOPIC, action: DESCRIBE }];
    const commands = this.#commands.size === 0 ? [] : [{ event: COMMAND_TOPIC, action: COMMAND }];
    return [...tools, ...describe, ...commands];
  }

  /**
   * Topics on which answers go out under the capsule's name. Only the kernel uses them: what the guest itself publishes is still
   * checked against its manifest.
   */
  get publish(): string[] {
    const results = this.#tools.map(({ name }) => resultTopic(name));
    return this.#commands.size === 0 ? results : [...results, ANSWER_TOPIC];
  }

  /** The answer to `tool.v1.request.describe`, as capsules since 0.5.2 give it; undefined for any other action. */
  describe(action: string): unknown {
    if (action !== DESCRIBE) return undefined;
    const tools = this.#tools.map(({ name, description, inputSchema }) => ({
      name,
      description,
      input_schema: inputSchema,
    }));
    return { tools, description: this.#manifest.description ?? '' };
  }

  /** Whether the action is one of this adaptor's. */
  owns(action: string): boolean {
    return action === COMMAND || action === DESCRIBE || action.startsWith(TOOL);
  }

  /** The call for a message; null when it is not for this capsule, such as another one's command. */
  call(action: string, payload: Buffer): AdaptedCall | null {
    const message = readObject(payload);
    if (action.startsWith(TOOL)) return callTool(action.slice(TOOL.length), message);
    return action === COMMAND ? this.#callCommand(message) : null;
  }

  #callCommand({ text, session_id: session }: Record<string, unknown>): AdaptedCall | null {
    const [, name, args] = /^\/(\S+)\s*([\s\S]*)$/.exec(typeof text === 'string' ? text : '') ?? [];
    if (name === undefined || !this.#commands.has(name)) return null;
    const session_id = typeof session === 'string' ? session : 'default';
    const input = encodeRequest(name, Buffer.from(JSON.stringify({ command: name, args, session_id })));
    return {
      exportName: 'astrid_command_run',
      input,
      answer: (outcome) => {
        const { content } = readOutcome(outcome);
        const payload = { type: 'agent_response', text: unquote(content), is_final: true, session_id };
        return { topic: ANSWER_TOPIC, payload };
      },
    };
  }
}

function callTool(name: string, { call_id: callId, arguments: args }: Record<string, unknown>): AdaptedCall | null {
  if (typeof callId !== 'string') return null;
  return {
    exportName: 'astrid_tool_call',
    input: encodeRequest(name, Buffer.from(JSON.stringify(args ?? {}))),
    answer: (outcome) => {
      const { content, isError } = readOutcome(outcome);
      const result = { call_id: callId, content, is_error: isError };
      return { topic: resultTopic(name), payload: { type: 'tool_execute_result', call_id: callId, result } };
    },
  };
}

/** What the export wrote, or why it failed. The oldest SDKs write `null` for nothing. */
function readOutcome(outcome: InvocationOutcome): { content: string; isError: boolean } {
  if (outcome.kind === 'failed') return { content: outcome.fault.message, isError: true };
  const { returnCode, output, error } = outcome;
  if (returnCode !== 0) return { content: error === '' ? `the export returned ${returnCode}` : error, isError: true };
  const text = output.toString('utf8');
  return { content: text === 'null' ? '' : text, isError: false };
}

/** A handler's text arrives as JSON; people read it without its quotes. */
function unquote(content: string): string {
  try {
    const value: unknown = JSON.parse(content);
    return typeof value === 'string' ? value : content;
  } catch (error) {
    if (error instanceof SyntaxError) return content;
    throw error;
  }
}

function readObject(payload: Buffer): Record<string, unknown> {
  const value: unknown = JSON.parse(payload.toString('utf8'));
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}
