import { Capsule, ToolAnswer, ToolCall } from "astrid/as/capsule";
import { decodeText, encodeText } from "astrid/as/memory";
import * as kv from "astrid/as/kv";

const NAME = '"name":{"type":"string","description":"Which counter","minLength":1,"maxLength":64}';

const capsule = new Capsule("Counters that last from one conversation to the next.")
  .tool(
    "count_up",
    "Adds to a counter and gives its new value.",
    true,
    `{"type":"object","properties":{${NAME},"by":{"type":"integer","description":"1 when left out"}},"required":["name"]}`,
    (call: ToolCall): ToolAnswer => {
      const key = keyOf(call);
      if (key.length == 0) return ToolAnswer.refuse("invalid_argument: name: expected 1 to 64 characters");
      const by = call.args.num("by", 1);
      if (by != Math.trunc(by) || Math.abs(by) > 1e9) return ToolAnswer.refuse("invalid_argument: by: expected a whole number");
      const known = kv.get(key);
      const unread = known.error;
      if (unread !== null) return ToolAnswer.refuse(unread.toString());
      const value = parseCount(decodeText(known.value)) + <i64>by;
      const failure = kv.set(key, encodeText(value.toString())).error;
      return failure === null ? ToolAnswer.of(value.toString()) : ToolAnswer.refuse(failure.toString());
    },
  )
  .tool(
    "read_counter",
    "The value of a counter; 0 for one that was never counted.",
    false,
    `{"type":"object","properties":{${NAME}},"required":["name"]}`,
    (call: ToolCall): ToolAnswer => {
      const key = keyOf(call);
      if (key.length == 0) return ToolAnswer.refuse("invalid_argument: name: expected 1 to 64 characters");
      const known = kv.get(key);
      const failure = known.error;
      if (failure !== null) return ToolAnswer.refuse(failure.toString());
      const text = decodeText(known.value);
      return ToolAnswer.of(text.length == 0 ? "0" : text);
    },
  );

/** Empty for a name that is none. */
function keyOf(call: ToolCall): string {
  const name = call.args.text("name");
  return name.length == 0 || name.length > 64 || name.includes("\0") ? "" : "counter." + name;
}

function parseCount(text: string): i64 {
  return text.length == 0 ? 0 : I64.parseInt(text);
}

export function astrid_hook_trigger(): i32 {
  return capsule.hook();
}
