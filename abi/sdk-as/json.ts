const DEPTH_MAX = 64;

export enum Kind {
  Null,
  Bool,
  Number,
  Text,
  List,
  Object,
}

/** A JSON value, small and complete enough for messages: at most 64 levels deep; of equal names the last one counts. */
export class Json {
  kind: Kind = Kind.Null;
  truth: bool = false;
  number: f64 = 0;
  string: string = "";
  items: Json[] = [];
  names: string[] = [];

  /** Null when the text is not JSON. */
  static parse(text: string): Json | null {
    const parser = new Parser(text);
    const value = parser.value(0);
    parser.space();
    return parser.failed || parser.at != text.length ? null : value;
  }

  static ofText(value: string): Json {
    const json = new Json();
    json.kind = Kind.Text;
    json.string = value;
    return json;
  }

  static ofNumber(value: f64): Json {
    const json = new Json();
    json.kind = Kind.Number;
    json.number = value;
    return json;
  }

  static ofBool(value: bool): Json {
    const json = new Json();
    json.kind = Kind.Bool;
    json.truth = value;
    return json;
  }

  static list(): Json {
    const json = new Json();
    json.kind = Kind.List;
    return json;
  }

  static object(): Json {
    const json = new Json();
    json.kind = Kind.Object;
    return json;
  }

  push(value: Json): Json {
    this.items.push(value);
    return this;
  }

  set(name: string, value: Json): Json {
    const at = this.names.indexOf(name);
    if (at >= 0) {
      this.items[at] = value;
    } else {
      this.names.push(name);
      this.items.push(value);
    }
    return this;
  }

  setText(name: string, value: string): Json {
    return this.set(name, Json.ofText(value));
  }

  setNumber(name: string, value: f64): Json {
    return this.set(name, Json.ofNumber(value));
  }

  setBool(name: string, value: bool): Json {
    return this.set(name, Json.ofBool(value));
  }

  /** The field, or null when there is none (or this is no object). */
  get(name: string): Json | null {
    if (this.kind != Kind.Object) return null;
    const at = this.names.lastIndexOf(name);
    return at < 0 ? null : this.items[at];
  }

  has(name: string): bool {
    return this.get(name) !== null;
  }

  text(name: string, fallback: string = ""): string {
    const value = this.get(name);
    return value !== null && value.kind == Kind.Text ? value.string : fallback;
  }

  num(name: string, fallback: f64 = 0): f64 {
    const value = this.get(name);
    return value !== null && value.kind == Kind.Number ? value.number : fallback;
  }

  bool(name: string, fallback: bool = false): bool {
    const value = this.get(name);
    return value !== null && value.kind == Kind.Bool ? value.truth : fallback;
  }

  /** The texts of a list; other items are left out. */
  texts(): string[] {
    const out: string[] = [];
    for (let at = 0; at < this.items.length; at++) {
      if (this.items[at].kind == Kind.Text) out.push(this.items[at].string);
    }
    return out;
  }

  toString(): string {
    const parts: string[] = [];
    write(this, parts);
    return parts.join("");
  }
}

function write(value: Json, out: string[]): void {
  if (value.kind == Kind.Null) out.push("null");
  else if (value.kind == Kind.Bool) out.push(value.truth ? "true" : "false");
  else if (value.kind == Kind.Number) out.push(showNumber(value.number));
  else if (value.kind == Kind.Text) out.push(quote(value.string));
  else {
    const isObject = value.kind == Kind.Object;
    out.push(isObject ? "{" : "[");
    for (let at = 0; at < value.items.length; at++) {
      if (at > 0) out.push(",");
      if (isObject) {
        out.push(quote(value.names[at]));
        out.push(":");
      }
      write(value.items[at], out);
    }
    out.push(isObject ? "}" : "]");
  }
}

/** Whole numbers without a point; what JSON cannot say is null, as JavaScript has it. */
function showNumber(value: f64): string {
  if (!isFinite(value)) return "null";
  if (value == Math.trunc(value) && Math.abs(value) < 9007199254740992) return (<i64>value).toString();
  return value.toString();
}

const HEX = "0123456789abcdef";

export function quote(text: string): string {
  const parts: string[] = ['"'];
  let from = 0;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code >= 0x20 && code != 0x22 && code != 0x5c) continue;
    parts.push(text.substring(from, at));
    from = at + 1;
    if (code == 0x22 || code == 0x5c) parts.push("\\" + text.charAt(at));
    else if (code == 0x0a) parts.push("\\n");
    else if (code == 0x09) parts.push("\\t");
    else if (code == 0x0d) parts.push("\\r");
    else parts.push("\\u00" + HEX.charAt(code >> 4) + HEX.charAt(code & 15));
  }
  parts.push(text.substring(from));
  parts.push('"');
  return parts.join("");
}

class Parser {
  at: i32 = 0;
  failed: bool = false;

  constructor(private readonly text: string) {}

  space(): void {
    while (this.at < this.text.length) {
      const code = this.text.charCodeAt(this.at);
      if (code != 0x20 && code != 0x0a && code != 0x0d && code != 0x09) break;
      this.at++;
    }
  }

  private peek(): i32 {
    return this.at < this.text.length ? this.text.charCodeAt(this.at) : -1;
  }

  private fail(): Json {
    this.failed = true;
    return new Json();
  }

  private word(word: string): bool {
    if (!this.text.startsWith(word, this.at)) {
      this.failed = true;
      return false;
    }
    this.at += word.length;
    return true;
  }

  value(depth: i32): Json {
    this.space();
    const code = this.peek();
    if (depth > DEPTH_MAX) return this.fail();
    if (code == 0x7b) return this.composite(depth, true);
    if (code == 0x5b) return this.composite(depth, false);
    if (code == 0x22) return Json.ofText(this.quoted());
    if (code == 0x74) {
      return this.word("true") ? Json.ofBool(true) : new Json();
    }
    if (code == 0x66) {
      return this.word("false") ? Json.ofBool(false) : new Json();
    }
    if (code == 0x6e) {
      this.word("null");
      return new Json();
    }
    return this.numeral();
  }

  private composite(depth: i32, isObject: bool): Json {
    const end = isObject ? 0x7d : 0x5d;
    const out = isObject ? Json.object() : Json.list();
    this.at++;
    this.space();
    if (this.peek() == end) {
      this.at++;
      return out;
    }
    while (!this.failed) {
      if (isObject) {
        this.space();
        if (this.peek() != 0x22) return this.fail();
        out.names.push(this.quoted());
        this.space();
        if (this.peek() != 0x3a) return this.fail();
        this.at++;
      }
      out.items.push(this.value(depth + 1));
      this.space();
      const next = this.peek();
      this.at++;
      if (next == end) return out;
      if (next != 0x2c) return this.fail();
    }
    return out;
  }

  private quoted(): string {
    const parts: string[] = [];
    let from = ++this.at;
    while (true) {
      const code = this.peek();
      if (code < 0x20) {
        this.failed = true;
        return "";
      }
      if (code == 0x22) break;
      if (code != 0x5c) {
        this.at++;
        continue;
      }
      parts.push(this.text.substring(from, this.at));
      parts.push(this.escape());
      if (this.failed) return "";
      from = this.at;
    }
    parts.push(this.text.substring(from, this.at));
    this.at++;
    return parts.length == 1 ? parts[0] : parts.join("");
  }

  private escape(): string {
    const letter = this.text.charAt(this.at + 1);
    this.at += 2;
    const plain = '"\\/bfnrt'.indexOf(letter);
    if (letter.length == 1 && plain >= 0) return '"\\/\b\f\n\r\t'.charAt(plain);
    let code = 0;
    for (let count = 0; count < 4; count++) {
      const next = this.peek();
      const digit = next < 0 ? -1 : HEX.indexOf(String.fromCharCode(next).toLowerCase());
      if (digit < 0) this.failed = true;
      code = code * 16 + digit;
      this.at++;
    }
    if (letter != "u") this.failed = true;
    return this.failed ? "" : String.fromCharCode(code);
  }

  private digits(): i32 {
    const from = this.at;
    while (this.peek() >= 0x30 && this.peek() <= 0x39) this.at++;
    return this.at - from;
  }

  private numeral(): Json {
    const from = this.at;
    if (this.peek() == 0x2d) this.at++;
    const isZero = this.peek() == 0x30;
    const count = this.digits();
    if (count == 0 || (isZero && count > 1)) return this.fail();
    if (this.peek() == 0x2e) {
      this.at++;
      if (this.digits() == 0) return this.fail();
    }
    if (this.peek() == 0x65 || this.peek() == 0x45) {
      this.at++;
      if (this.peek() == 0x2b || this.peek() == 0x2d) this.at++;
      if (this.digits() == 0) return this.fail();
    }
    return Json.ofNumber(parseFloat(this.text.substring(from, this.at)));
  }
}
