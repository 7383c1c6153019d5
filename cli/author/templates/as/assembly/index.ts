import { Capsule, ToolAnswer, ToolCall } from 'astrid/as/capsule';

/** AssemblyScript has no closures: a handler is a function of its own. */
function countWords(call: ToolCall): ToolAnswer {
  const text = call.args.text('text');
  let words = 0;
  let inside = false;
  for (let at = 0; at < text.length; at++) {
    const blank = text.charCodeAt(at) <= 32;
    if (!blank && !inside) words++;
    inside = !blank;
  }
  return ToolAnswer.of(words.toString());
}

const SCHEMA = '{"type":"object","properties":{"text":{"type":"string"}},"required":["text"]}';

const capsule = new Capsule('Words.').tool('count_words', 'Counts the words of a text.', false, SCHEMA, countWords);

export function astrid_hook_trigger(): i32 {
  return capsule.hook();
}
