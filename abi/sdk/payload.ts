/**
 * What travels on the bus (ABI reference 4.2 to 4.4 and 5). Types, and the one rule by which the two views of a message
 * differ: a subscription sees the tagged payload, an interceptor sees it unwrapped.
 */
export interface IncomingMessage {
  readonly topic: string;
  readonly payload: { readonly type: string; readonly [field: string]: unknown };
  /** UUID of the sending instance; all zeros for the kernel. */
  readonly source_id: string;
  /** RFC 3339. */
  readonly timestamp: string;
  /** Bus-wide, from 1. */
  readonly seq: number;
  readonly principal?: string;
}

export interface UserInput {
  readonly type: 'user_input';
  readonly text: string;
  readonly session_id: string;
  readonly context?: unknown;
}

export interface AgentResponse {
  readonly type: 'agent_response';
  readonly text: string;
  readonly is_final: boolean;
  readonly session_id: string;
}

export interface ToolExecuteRequest {
  readonly type: 'tool_execute_request';
  readonly call_id: string;
  readonly tool_name: string;
  readonly arguments: unknown;
}

export interface ToolResult {
  readonly call_id: string;
  readonly content: string;
  readonly is_error: boolean;
}

export interface ToolExecuteResult {
  readonly type: 'tool_execute_result';
  readonly call_id: string;
  readonly result: ToolResult;
}

/** What the kernel tells a session when a message could not be handled (topic `astrid.v1.delivery.failed`). */
export interface DeliveryFailed {
  readonly topic: string;
  readonly capsule_id: string;
  /** From the list of host errors: `cancelled` and `not_ready` mean that nobody takes the message up, and nobody will. */
  readonly code: string;
  readonly reason: string;
  readonly payload?: unknown;
}

/** The content of a tagged payload, as an interceptor would get it: `custom` and `raw_json` lose their wrapping. */
export function unwrap(payload: unknown): unknown {
  if (typeof payload !== 'object' || payload === null || Array.isArray(payload)) return payload;
  const { type, ...rest } = payload as { type?: unknown; data?: unknown };
  if (type === 'custom') return rest.data;
  return type === 'raw_json' ? rest : payload;
}
