import type { ApprovalDecision, ApprovalRow, BusEventRow } from '../../abi/control.js';
import type { ControlClient } from '../../cli/client.js';
import { openSession } from './log-watch.js';

export interface Turn {
  readonly text: string;
  readonly deltas: string;
  readonly outcome: string;
  readonly toolCalls: readonly string[];
}

export interface Conversation {
  readonly session: string;
  /** Every question that was put to the person so far. */
  readonly asked: ApprovalRow[];
  say(text: string): Promise<Turn>;
}

interface Custom {
  readonly data?: Readonly<Record<string, unknown>>;
  readonly text?: string;
  readonly is_final?: boolean;
  readonly tool_name?: string;
}

/** A person at a real supervisor: says things, answers every approval the same way, and hears the whole turn. */
export async function converse(
  client: ControlClient,
  workspace: string,
  options: {
    answer?: ApprovalDecision;
    interactive?: boolean;
    id?: string;
    mode?: 'safe' | 'guided' | 'autonomous' | 'yolo';
  } = {},
): Promise<Conversation> {
  const { answer, ...open } = options;
  const { id, say } = await openSession(client, workspace, open);
  const asked: ApprovalRow[] = [];
  if (answer !== undefined) {
    const approvals = await client.stream('approvals.follow', { session: id });
    void (async () => {
      for await (const event of approvals) {
        const row = event as ApprovalRow;
        if (row.state !== 'pending') continue;
        asked.push(row);
        await client.request('approvals.answer', { id: row.id, decision: answer });
      }
    })().catch(() => undefined);
  }
  const turn = async (text: string): Promise<Turn> => {
    const patterns = ['agent.v1.*', 'tool.v1.request.execute'];
    const events = await client.stream('bus.subscribe', { session: id, patterns });
    await say(text);
    let deltas = '';
    let outcome = '';
    const toolCalls: string[] = [];
    try {
      for await (const event of events) {
        const { topic, payload } = event as BusEventRow;
        const { data, text: answerText, is_final: isFinal, tool_name: tool } = payload as Custom;
        if (topic === 'agent.v1.stream.delta') deltas += String(data?.['text']);
        if (topic === 'tool.v1.request.execute') toolCalls.push(tool ?? '');
        if (topic === 'agent.v1.turn.finished') outcome = String(data?.['outcome']);
        if (topic === 'agent.v1.response' && isFinal === true)
          return { text: answerText ?? '', deltas, outcome, toolCalls };
      }
    } finally {
      events.cancel();
    }
    throw new Error('the stream ended before the answer');
  };
  return { session: id, asked, say: turn };
}
