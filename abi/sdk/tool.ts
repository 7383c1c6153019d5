import { publish } from './ipc.js';
import * as log from './log.js';
import { describe, placeOf } from './sandbox.js';
import { type JsonSchema, type Schema, SchemaError, s } from './schema.js';
import { fromStandard, isStandardSchema, type StandardSchema } from './standard.js';
import { isSystemError } from './system-error.js';

/**
 * Tools for models (ABI reference 3.4). A declared tool answers the actions `tool_execute_<name>` and takes part in
 * `tool_describe`; the manifest must name both and allow publishing on `tool.v1.execute.<name>.result`.
 */
export interface ToolContext {
  readonly callId: string;
  readonly tool: string;
}

export interface ToolDescription {
  readonly name: string;
  readonly description: string;
  /** JSON Schema draft 7 of the arguments, with the extra boolean `mutable`. */
  readonly input_schema: JsonSchema;
}

/** A tool whose argument types are forgotten, as the capsule holds it. */
export interface Tool {
  readonly name: string;
  describe(): ToolDescription;
  /** Runs one request and publishes its result. */
  execute(payload: unknown): void | Promise<void>;
}

export interface ToolDefinition<T> {
  /** Letters, digits, `_`, `-`, `:`; at most 64. Not `result`, which the bus uses. */
  readonly name: string;
  /** For the model: what it does, when to use it, what it gives back. */
  readonly description: string;
  /** True when it changes anything. */
  readonly mutable: boolean;
  /** An object schema: `s.object({…})`, or `z.object({…})` of zod 4 and the like (`standard.ts`). */
  readonly input: Schema<T> | StandardSchema<T>;
  /**
   * The result for the model: text as it is, anything else as JSON. What it throws becomes an error result: ToolError
   * with its text, SystemError as `code: message`, and anything else as a failure of the tool, with the stack in the log.
   */
  handler(args: T, context: ToolContext): unknown;
}

/** A refusal meant for the model: it is told the text and may try again. */
export class ToolError extends Error {
  override readonly name = 'ToolError';
}

interface Outcome {
  readonly content: string;
  readonly isError: boolean;
}

const TOOL_NAME = /^[A-Za-z0-9_:-]{1,64}$/;
/** JSON writes a control character in 6 bytes, and a message is at most 5 MiB. */
const CONTENT_CHARS_MAX = 800_000;

const requestSchema = /* @__PURE__ */ s.openObject({
  call_id: s.string(undefined, { minLength: 1, maxLength: 256 }),
  arguments: s.json(),
});

/** Declares a tool. Throws at once for a name the bus cannot carry, so that the build shows it. */
export function tool<T>(definition: ToolDefinition<T>): Tool {
  const { name } = definition;
  if (!TOOL_NAME.test(name) || name === 'result') throw new Error(`"${name}" is not a tool name`);
  const input = isStandardSchema(definition.input) ? fromStandard(definition.input) : definition.input;
  if (input.json['type'] !== 'object') throw new Error(`the input of tool ${name} must be an object schema`);
  return {
    name,
    describe: () => ({
      name,
      description: definition.description,
      input_schema: { ...input.json, mutable: definition.mutable },
    }),
    execute(payload) {
      const request = requestSchema.parse(payload, 'payload');
      const context = { callId: request.call_id, tool: name };
      const outcome = runHandler(() => definition.handler(input.parse(request.arguments), context), context);
      if (outcome instanceof Promise) return outcome.then((settled) => publishResult(context, settled));
      publishResult(context, outcome);
    },
  };
}

function runHandler(work: () => unknown, context: ToolContext): Outcome | Promise<Outcome> {
  try {
    const result = work();
    if (result instanceof Promise) return result.then(succeed, (thrown) => fail(thrown, context));
    return succeed(result);
  } catch (thrown) {
    return fail(thrown, context);
  }
}

function succeed(result: unknown): Outcome {
  const content = typeof result === 'string' ? result : (JSON.stringify(result) ?? '');
  if (content.length <= CONTENT_CHARS_MAX) return { content, isError: false };
  return { content: `too_large: the result has ${content.length} characters`, isError: true };
}

function fail(thrown: unknown, context: ToolContext): Outcome {
  if (thrown instanceof SchemaError) return { content: `invalid_argument: ${thrown.message}`, isError: true };
  if (thrown instanceof ToolError) return { content: thrown.message, isError: true };
  if (isSystemError(thrown)) return { content: `${thrown.code}: ${thrown.message}`, isError: true };
  log.error(`tool ${context.tool} failed: ${describe(thrown)}`);
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  const place = placeOf(thrown);
  return { content: `internal: the tool failed: ${message}${place === undefined ? '' : ` (${place})`}`, isError: true };
}

function publishResult(context: ToolContext, outcome: Outcome): void {
  publish(`tool.v1.execute.${context.tool}.result`, {
    type: 'tool_execute_result',
    call_id: context.callId,
    result: { call_id: context.callId, content: outcome.content, is_error: outcome.isError },
  });
}
