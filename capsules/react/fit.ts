import type { Message } from 'astrid/sdk/llm';

/** Keeping a request below what one bus message can carry (5 MiB of UTF-8), and one message below a KV value. */
const REQUEST_CHARS_MAX = 1_200_000;
const RESULT_CHARS_MAX = 300_000;
const OLD_RESULT_CHARS = 2000;

/**
 * History and turn as one list that fits. The oldest turns of the history go first; when that is not enough, the oldest
 * tool results of this turn are cut. Tool calls and their results are never separated: providers refuse such a list.
 */
export function fitMessages(history: readonly Message[], turn: readonly Message[]): Message[] {
  let kept = [...history];
  const recent = [...turn];
  while (kept.length > 0 && countChars(kept) + countChars(recent) > REQUEST_CHARS_MAX) {
    const next = kept.findIndex((message, index) => index > 0 && message.role === 'user');
    kept = next < 0 ? [] : kept.slice(next);
  }
  for (let index = 0; index < recent.length && countChars(recent) > REQUEST_CHARS_MAX; index++) {
    const message = recent[index];
    if (message !== undefined) recent[index] = cutResult(message, OLD_RESULT_CHARS);
  }
  return [...kept, ...recent];
}

/** Tool output as it is stored: at most 300,000 characters of JSON, which may write one character in six. */
export function cutContent(content: string): string {
  if (JSON.stringify(content).length <= RESULT_CHARS_MAX) return content;
  const plain = content.slice(0, RESULT_CHARS_MAX - 100);
  const fits = JSON.stringify(plain).length <= RESULT_CHARS_MAX;
  const kept = fits ? plain : content.slice(0, RESULT_CHARS_MAX / 6);
  return `${kept}\n[${content.length - kept.length} characters left out]`;
}

function cutResult(message: Message, chars: number): Message {
  const { content } = message;
  if (message.role !== 'tool' || typeof content !== 'object' || !('call_id' in content)) return message;
  if (content.content.length <= chars) return message;
  return { role: 'tool', content: { ...content, content: `${content.content.slice(0, chars)}\n[left out]` } };
}

function countChars(messages: readonly Message[]): number {
  return messages.reduce((sum, message) => sum + JSON.stringify(message).length + 1, 0);
}
