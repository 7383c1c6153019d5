import { decodeText } from "./memory";
import { Json, Kind } from "./json";

/** What an export is called with: a name, and the payload's bytes as a list of numbers (ABI reference 3.2). */
export class Request {
  constructor(readonly name: string, readonly payload: Uint8Array) {}

  /** Null when the bytes are no such request. The list of numbers is read without making a value of each. */
  static read(input: Uint8Array): Request | null {
    const text = decodeText(input);
    const mark = text.indexOf('"arguments"');
    const from = mark < 0 ? -1 : text.indexOf("[", mark);
    const to = from < 0 ? -1 : text.indexOf("]", from);
    if (mark >= 0 && (from < 0 || to < 0)) return null;
    // The rest is parsed as JSON with an empty list in its place, so a name that holds the mark fails and is not misread.
    const rest = mark < 0 ? text : text.substring(0, from + 1) + text.substring(to);
    const value = Json.parse(rest);
    if (value === null) return null;
    const name = value.get("name");
    if (name === null || name.kind != Kind.Text) return null;
    const list = value.get("arguments");
    if (mark >= 0 && (list === null || list.kind != Kind.List)) return null;
    const payload = mark < 0 ? new Uint8Array(0) : readBytes(text, from + 1, to);
    return payload === null ? null : new Request(name.string, payload);
  }

  /** The payload as JSON; null when it is none or empty. */
  json(): Json | null {
    return this.payload.length == 0 ? null : Json.parse(decodeText(this.payload));
  }
}

function readBytes(text: string, from: i32, to: i32): Uint8Array | null {
  const out = new Uint8Array((to - from + 1) / 2 + 1);
  let count = 0;
  let value = -1;
  for (let at = from; at <= to; at++) {
    const code = text.charCodeAt(at);
    if (code >= 0x30 && code <= 0x39) {
      value = (value < 0 ? 0 : value * 10) + (code - 0x30);
      if (value > 255) return null;
    } else if (code == 0x2c || code == 0x5d) {
      if (value < 0) return code == 0x5d && count == 0 ? new Uint8Array(0) : null;
      out[count++] = <u8>value;
      value = -1;
    } else if (code != 0x20 && code != 0x0a && code != 0x0d && code != 0x09) return null;
  }
  return out.slice(0, count);
}
