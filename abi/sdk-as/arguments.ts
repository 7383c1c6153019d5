import { Json, Kind, quote } from "./json";

/**
 * What is wrong with the arguments of a call, or an empty text. Of the tool's schema this holds against them: that they are
 * an object, which of its fields must be there, and of which type each is. Everything deeper is the handler's to check.
 */
export function faultIn(args: Json, schema: Json): string {
  if (args.kind != Kind.Object) return "arguments: expected an object";
  const required = schema.get("required");
  const names: string[] = required === null ? [] : required.texts();
  for (let at = 0; at < names.length; at++) {
    if (!args.has(names[at])) return names[at] + ": missing";
  }
  const properties = schema.get("properties");
  for (let at = 0; at < args.names.length; at++) {
    const name = args.names[at];
    let field: Json | null = null;
    if (properties !== null) field = properties.get(name);
    // A model says null for a field that it leaves out.
    if (args.items[at].kind == Kind.Null && !names.includes(name)) continue;
    if (field === null) {
      const rest = schema.get("additionalProperties");
      if (rest !== null && rest.kind == Kind.Bool && !rest.truth) return "unknown field " + quote(name);
    } else if (!fits(args.items[at], field.text("type"))) {
      return name + ": expected " + field.text("type");
    }
  }
  return "";
}

/** A schema without a type, or with a list of types, says nothing here. */
function fits(value: Json, type: string): bool {
  if (type == "string") return value.kind == Kind.Text;
  if (type == "number") return value.kind == Kind.Number;
  if (type == "integer") return value.kind == Kind.Number && value.number == Math.trunc(value.number);
  if (type == "boolean") return value.kind == Kind.Bool;
  if (type == "array") return value.kind == Kind.List;
  if (type == "object") return value.kind == Kind.Object;
  if (type == "null") return value.kind == Kind.Null;
  return true;
}
