import type { LlmRequest, StreamEvent } from 'astrid/sdk/llm';
import type { Decision } from './decide.js';

/** The kernel queues at most 256 messages per capsule, so an answer of any length has at most twice this many pieces. */
const PIECES_MAX = 48;
const PIECE_CHARS_MIN = 24;
/** A common rule of thumb; the numbers are there so that a client can show the same fields as for a real model. */
const CHARS_PER_TOKEN = 4;

/** A decision as the events of `llm.v1.stream.*`. */
export function streamEvents(decision: Decision, request: LlmRequest): StreamEvent[] {
  const spoken = decision.kind === 'text' ? decision.text : JSON.stringify(decision.args);
  const usage = {
    input_tokens: countTokens(JSON.stringify(request.messages) + request.system),
    output_tokens: countTokens(spoken),
  };
  return [...speak(decision, spoken), { Usage: usage }, 'Done'];
}

function speak(decision: Decision, spoken: string): StreamEvent[] {
  const pieces = cutPieces(spoken);
  if (decision.kind === 'text') return pieces.map((piece) => ({ TextDelta: piece }));
  const { id, name } = decision;
  return [
    { ToolCallStart: { id, name } },
    ...pieces.map((piece) => ({ ToolCallDelta: { id, args_delta: piece } })),
    { ToolCallEnd: { id } },
  ];
}

/** Pieces of about the same length that end after a blank where there is one; never between the halves of a character. */
export function cutPieces(text: string): string[] {
  const target = Math.max(PIECE_CHARS_MIN, Math.ceil(text.length / PIECES_MAX));
  const pieces: string[] = [];
  let at = 0;
  while (at < text.length) {
    let end = Math.min(text.length, at + target);
    if (end < text.length) {
      const blank = text.lastIndexOf(' ', end - 1);
      if (blank > at + target / 2) end = blank + 1;
      const unit = text.charCodeAt(end - 1);
      if (unit >= 0xd800 && unit <= 0xdbff) end++;
    }
    pieces.push(text.slice(at, end));
    at = end;
  }
  return pieces;
}

function countTokens(text: string): number {
  return Math.ceil(text.length / CHARS_PER_TOKEN);
}
