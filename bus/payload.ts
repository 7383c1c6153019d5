import {
  anyOf,
  count,
  flag,
  isRecord,
  json,
  list,
  nullable,
  oneOf,
  optional,
  readFields,
  record,
  required,
  type Shape,
  tagBy,
  tagged,
  text,
  uuid,
  withDefault,
} from './payload-shape.js';

/** Payload variants, their fields, and the two views of a message (ABI reference 4.3, 4.4, 5.1, 5.2). */

const sessionId = withDefault(text, 'default');

const toolCall = record({ id: required(text), name: required(text), arguments: required(json) });
const toolResult = record({
  call_id: required(text),
  content: required(text),
  is_error: withDefault(flag, false),
});
const contentPart = tagBy('type', {
  text: { text: required(text) },
  image: { data: required(text), media_type: required(text) },
});
const llmMessage = record({
  role: required(oneOf('system', 'user', 'assistant', 'tool')),
  // Untagged: the order decides what an empty list is.
  content: required(anyOf(text, list(toolCall), toolResult, list(contentPart))),
});
const toolDefinition = record({ name: required(text), description: nullable(text), input_schema: required(json) });
const usage = record({ input_tokens: required(count), output_tokens: required(count) });
const streamEvent = anyOf(
  oneOf('Done'),
  tagged({
    TextDelta: text,
    ToolCallStart: record({ id: required(text), name: required(text) }),
    ToolCallDelta: record({ id: required(text), args_delta: required(text) }),
    ToolCallEnd: record({ id: required(text) }),
    ReasoningDelta: text,
    Usage: usage,
    Error: text,
  }),
);
const llmAnswer = record({
  message: required(llmMessage),
  has_tool_calls: required(flag),
  stop_reason: required(oneOf('EndTurn', 'MaxTokens', 'ToolUse', 'StopSequence')),
  usage: required(usage),
});
const fieldDescriptor = record({
  key: required(text),
  prompt: required(text),
  description: optional(text),
  field_type: required(anyOf(oneOf('Text', 'Secret', 'Array'), tagged({ Enum: list(text) }))),
  default: optional(text),
  placeholder: optional(text),
});
const selectionOption = record({ id: required(text), label: required(text), description: optional(text) });

/** Every variant with fields of its own. `raw_json` and `custom` are not here: they carry free-form content. */
const VARIANTS: Readonly<Record<string, Shape>> = {
  user_input: { text: required(text), session_id: sessionId, context: optional(json) },
  agent_response: { text: required(text), is_final: required(flag), session_id: sessionId },
  approval_required: {
    request_id: required(text),
    action: required(text),
    resource: required(text),
    reason: required(text),
    risk_level: required(text),
  },
  approval_response: { request_id: required(text), decision: required(text), reason: optional(text) },
  onboarding_required: { capsule_id: required(text), fields: required(list(fieldDescriptor)) },
  llm_request: {
    request_id: required(uuid),
    model: required(text),
    messages: required(list(llmMessage)),
    tools: required(list(toolDefinition)),
    system: required(text),
  },
  llm_stream_event: { request_id: required(uuid), event: required(streamEvent) },
  llm_response: { request_id: required(uuid), response: required(llmAnswer) },
  tool_execute_request: { call_id: required(text), tool_name: required(text), arguments: required(json) },
  tool_execute_result: { call_id: required(text), result: required(toolResult) },
  tool_cancel_request: { call_ids: required(list(text)) },
  selection_required: {
    request_id: required(text),
    title: required(text),
    options: required(list(selectionOption)),
    callback_topic: required(text),
  },
  elicit_request: { request_id: required(uuid), capsule_id: required(text), field: required(fieldDescriptor) },
  elicit_response: { request_id: required(uuid), value: optional(text), values: optional(list(text)) },
  connect: {},
  disconnect: { reason: optional(text) },
};

export const PAYLOAD_TYPES: readonly string[] = [...Object.keys(VARIANTS), 'raw_json', 'custom'];

/** A payload as it travels: always an object with `type`. */
export interface Payload {
  readonly type: string;
  readonly [field: string]: unknown;
}

/**
 * What a guest published, as it is delivered: a known `type` whose fields fit gives that variant without other fields;
 * everything else is wrapped whole as `custom`. `{"type":"custom","data":X}` is not wrapped again.
 */
export function normalisePayload(value: unknown): Payload {
  return readVariant(value) ?? { type: 'custom', data: value };
}

/** True for an object with a `type` of its own, known or not. */
export function isPayload(value: unknown): value is Payload {
  return isRecord(value) && Object.hasOwn(value, 'type') && typeof value['type'] === 'string';
}

/** The variant that `value` is, or null. Its members are shared with `value`, which must not be changed afterwards. */
export function readVariant(value: unknown): Payload | null {
  if (!isPayload(value)) return null;
  const { type } = value;
  if (type === 'raw_json') return value;
  if (type === 'custom') return Object.hasOwn(value, 'data') ? { type, data: value['data'] } : null;
  if (!Object.hasOwn(VARIANTS, type)) return null;
  const result = { type };
  return readFields(VARIANTS[type] as Shape, value, result) ? result : null;
}

/**
 * What an interceptor gets as its argument: `custom` without its wrapper, `raw_json` without `type`, any other
 * payload (lifecycle events of the kernel among them) whole.
 */
export function interceptorView(payload: unknown): unknown {
  if (!isRecord(payload)) return payload;
  if (payload['type'] === 'custom') return payload['data'];
  if (payload['type'] !== 'raw_json') return payload;
  const { type: _, ...content } = payload;
  return content;
}
