import type { BusEventRow } from '../abi/control.js';

/** How a turn ended: `agent.v1.turn.finished`. */
const TURN_OUTCOMES = ['ok', 'denied', 'queued', 'failed', 'timed_out', 'over_budget', 'cancelled'] as const;
export type TurnOutcome = (typeof TURN_OUTCOMES)[number];

/** What happens in a turn, as the views and the NDJSON output see it. */
export type TurnEvent =
  | { readonly type: 'delta'; readonly text: string }
  | { readonly type: 'tool_call'; readonly callId: string; readonly tool: string; readonly arguments: unknown }
  | { readonly type: 'tool_result'; readonly callId: string; readonly content: string; readonly isError: boolean }
  | { readonly type: 'response'; readonly text: string; readonly isFinal: boolean }
  | { readonly type: 'finished'; readonly outcome: TurnOutcome }
  | { readonly type: 'lagged'; readonly count: number };

/** Subscription patterns (rule A of ABI reference 4.5) that bring everything `readTurnEvents` understands. */
export const TURN_PATTERNS: readonly string[] = ['agent.v1.*', 'tool.v1.request.execute', 'tool.v1.execute.result'];

type Fields = Readonly<Record<string, unknown>>;

function fieldsOf(value: unknown): Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Fields) : {};
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

/** The content of a `custom` payload: under `data`, or beside `type` when it came as `raw_json` (ABI reference 4.3). */
function customOf(payload: Fields): Fields {
  return payload['type'] === 'custom' ? fieldsOf(payload['data']) : payload;
}

function isOutcome(value: unknown): value is TurnOutcome {
  return TURN_OUTCOMES.some((outcome) => outcome === value);
}

/** Topic to event; a payload of another shape than its topic's gives an empty text, never an exception. */
const READERS: Readonly<Record<string, (payload: Fields) => TurnEvent>> = {
  'agent.v1.stream.delta': (payload) => ({ type: 'delta', text: textOf(customOf(payload)['text']) }),
  'agent.v1.response': (payload) => ({
    type: 'response',
    text: textOf(payload['text']),
    isFinal: payload['is_final'] === true,
  }),
  'agent.v1.turn.finished': (payload) => {
    const { outcome } = customOf(payload);
    // An outcome of a newer agent that we do not know must not read as success.
    return { type: 'finished', outcome: isOutcome(outcome) ? outcome : 'failed' };
  },
  'tool.v1.request.execute': (payload) => ({
    type: 'tool_call',
    callId: textOf(payload['call_id']),
    tool: textOf(payload['tool_name']),
    arguments: payload['arguments'] ?? null,
  }),
  'tool.v1.execute.result': (payload) => {
    const result = fieldsOf(payload['result']);
    return {
      type: 'tool_result',
      callId: textOf(payload['call_id']) || textOf(result['call_id']),
      content: textOf(result['content']),
      isError: result['is_error'] === true,
    };
  },
};

/** The events that one message of the bus stands for: none for a topic of no interest, a gap before what follows it. */
export function readTurnEvents(row: BusEventRow): TurnEvent[] {
  const events: TurnEvent[] = [];
  if (row.lagged > 0) events.push({ type: 'lagged', count: row.lagged });
  const read = Object.hasOwn(READERS, row.topic) ? READERS[row.topic] : undefined;
  if (read !== undefined) events.push(read(fieldsOf(row.payload)));
  return events;
}
