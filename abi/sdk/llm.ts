import { type Infer, s } from './schema.js';

/**
 * Messages, tools and stream events between the agent loop and model providers (ABI reference 5.1 to 5.3).
 * `s.openObject` everywhere: a newer sender may say more than this version knows.
 */
const toolCallSchema = s.openObject({ id: s.string(), name: s.string(), arguments: s.json() });

const toolResultSchema = s.openObject({
  call_id: s.string(),
  content: s.string(),
  is_error: s.boolean().default(false),
});

const partSchema = s.union([
  s.openObject({ type: s.oneOf(['text']), text: s.string() }),
  s.openObject({ type: s.oneOf(['image']), data: s.string('base64'), media_type: s.string() }),
]);

/** `content` is untagged; the order of the alternatives is part of the format. */
export const messageSchema = s.openObject({
  role: s.oneOf(['system', 'user', 'assistant', 'tool']),
  content: s.union([s.string(), s.array(toolCallSchema), toolResultSchema, s.array(partSchema)]),
});

export const toolDefinitionSchema = s.openObject({
  name: s.string(),
  description: s.string().optional(),
  input_schema: s.json(),
});

/** Payload of `llm.v1.request.generate.<provider>`. */
export const llmRequestSchema = s.openObject({
  request_id: s.string(),
  model: s.string().default(''),
  messages: s.array(messageSchema),
  tools: s.array(toolDefinitionSchema).default([]),
  system: s.string().default(''),
});

/** One entry of the answer to `llm.v1.request.describe`. */
export const providerSchema = s.openObject({
  id: s.string(),
  description: s.string().default(''),
  request_topic: s.string(),
  stream_topic: s.string(),
  capabilities: s.array(s.string()).default([]),
  context_window: s.integer('tokens').optional(),
  max_output_tokens: s.integer('tokens').optional(),
});

export type ToolCall = Infer<typeof toolCallSchema>;
export type Message = Infer<typeof messageSchema>;
export type ToolDefinition = Infer<typeof toolDefinitionSchema>;
export type LlmRequest = Infer<typeof llmRequestSchema>;
export type Provider = Infer<typeof providerSchema>;

/** Externally tagged, in CamelCase, unlike everything else on the bus. */
export type StreamEvent =
  | { readonly TextDelta: string }
  | { readonly ReasoningDelta: string }
  | { readonly ToolCallStart: { readonly id: string; readonly name: string } }
  | { readonly ToolCallDelta: { readonly id: string; readonly args_delta: string } }
  | { readonly ToolCallEnd: { readonly id: string } }
  | { readonly Usage: { readonly input_tokens: number; readonly output_tokens: number } }
  | { readonly Error: string }
  | 'Done';

/** The text of a message: its string, or its text parts joined; empty for tool calls and results. */
export function textOf(message: Message): string {
  const { content } = message;
  if (typeof content === 'string') return content;
  if (!Array.isArray(content)) return '';
  const parts = content as readonly { type?: string; text?: string }[];
  return parts.map((part) => (part.type === 'text' ? (part.text ?? '') : '')).join('');
}

/** The tool calls of an assistant message; empty for any other. */
export function toolCallsOf(message: Message): readonly ToolCall[] {
  const { content } = message;
  if (message.role !== 'assistant' || !Array.isArray(content)) return [];
  return (content as readonly object[]).filter((entry): entry is ToolCall => 'name' in entry && 'arguments' in entry);
}
