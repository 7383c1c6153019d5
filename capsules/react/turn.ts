import * as kv from 'astrid/sdk/kv';
import type { Message } from 'astrid/sdk/llm';
import * as runtime from 'astrid/sdk/runtime';

/**
 * One prompt and everything it takes to answer it. Kept in KV, so that killing this capsule in the middle of a turn
 * loses at most the words the model was just saying:
 *
 *   starting ─► model ─► tools ─► model … ─► finishing ─► (gone)
 *
 * `turn.<session>` holds the record, `message.<session>.<n>` the messages of the turn. Both are written before the
 * message that acts on them is published.
 */
export interface Turn {
  readonly id: string;
  readonly sessionId: string;
  phase: 'starting' | 'model' | 'tools' | 'finishing';
  /** Topic the model requests of this turn go to. */
  providerTopic: string;
  model: string;
  /** Id of the model request that is outstanding, or that led to the present phase. */
  requestId: string;
  /** How often the outstanding request was repeated. */
  repeats: number;
  /** Model requests so far, repeats not counted. */
  iterations: number;
  /** Tool calls so far. */
  toolCalls: number;
  /** Calls of the current step. */
  calls: CallState[];
  /** Messages of the turn, the slots of outstanding results included. */
  messageCount: number;
  /** Codes of the refusals that tools reported. */
  refusals: string[];
  usage: { input_tokens: number; output_tokens: number };
  /** When the current step has taken too long. */
  deadlineMs: number;
  /** When this capsule was restarted with the turn open and nothing has come for it since; 0 otherwise. */
  interruptedAtMs: number;
  ending: Ending | null;
}

export interface CallState {
  /** Id on the bus, unique over all sessions; models repeat theirs. */
  readonly callId: string;
  /** Id the model gave the call. */
  readonly modelId: string;
  readonly name: string;
  /** Where its result goes among the messages. */
  readonly slot: number;
  done: boolean;
}

export type Outcome = 'ok' | 'denied' | 'queued' | 'failed' | 'timed_out' | 'over_budget' | 'cancelled';

export interface Ending {
  readonly outcome: Outcome;
  /** One word for programs: `answered`, `cancelled`, `restarted`, `provider_failed`, … */
  readonly reason: string;
  readonly text: string;
  /** True when the messages of the turn make a whole, and not only the prompt and the last words are worth keeping. */
  readonly whole: boolean;
}

/** Turns that this instance has worked on. A restart is announced after the messages that were waiting for it. */
const touched = new Set<string>();

const turnKey = (sessionId: string): string => `turn.${sessionId}`;
const messageKey = (sessionId: string, index: number): string => `message.${sessionId}.${index}`;

export function newTurn(id: string, sessionId: string, deadlineMs: number): Turn {
  return {
    id,
    sessionId,
    phase: 'starting',
    providerTopic: '',
    model: '',
    requestId: '',
    repeats: 0,
    iterations: 0,
    toolCalls: 0,
    calls: [],
    messageCount: 0,
    refusals: [],
    usage: { input_tokens: 0, output_tokens: 0 },
    deadlineMs,
    interruptedAtMs: 0,
    ending: null,
  };
}

export function loadTurn(sessionId: string): Turn | undefined {
  return kv.getJson<Turn>(turnKey(sessionId));
}

export function saveTurn(turn: Turn): void {
  touched.add(turn.id);
  idle.clear();
  kv.setJson(turnKey(turn.sessionId), turn);
}

/** True when an earlier instance left the turn behind and this one has not moved it yet. */
export function isLeftBehind(turn: Turn): boolean {
  return !touched.has(turn.id);
}

/** Principals of whom this instance knows that no turn is open: an idle system is not asked, and logged, at every tick. */
const idle = new Set<string>();

/** All open turns of the acting principal. */
export function openTurns(): Turn[] {
  const principal = runtime.caller().principal ?? '';
  if (idle.has(principal)) return [];
  const turns = kv.list('turn.').flatMap((key) => kv.getJson<Turn>(key) ?? []);
  if (turns.length === 0) idle.add(principal);
  return turns;
}

export function dropTurn(turn: Turn): void {
  kv.clear(`message.${turn.sessionId}.`);
  kv.delete(turnKey(turn.sessionId));
  touched.delete(turn.id);
}

/** Puts a message at the end; the caller saves the turn. */
export function addMessage(turn: Turn, message: Message): void {
  putMessage(turn, turn.messageCount, message);
  turn.messageCount++;
}

export function putMessage(turn: Turn, index: number, message: Message): void {
  kv.setJson(messageKey(turn.sessionId, index), message);
}

export function readMessages(turn: Turn): Message[] {
  const indexes = Array.from({ length: turn.messageCount }, (_, index) => index);
  return indexes.flatMap((index) => kv.getJson<Message>(messageKey(turn.sessionId, index)) ?? []);
}
