import { faultIn } from "./arguments";
import { publish } from "./ipc";
import { Json, Kind } from "./json";
import { decodeText, encodeText, readInput, writeFailure, writeOutput } from "./memory";
import { Request } from "./request";

/** What a tool says: text for the model, or a refusal that it is told. */
export class ToolAnswer {
  private constructor(readonly content: string, readonly isError: bool) {}

  static of(content: string): ToolAnswer {
    return new ToolAnswer(content, false);
  }

  static refuse(reason: string): ToolAnswer {
    return new ToolAnswer(reason, true);
  }
}

export class ToolCall {
  constructor(readonly callId: string, readonly args: Json) {}
}

/** What an interceptor says: nothing, a new payload, the last word, or no (ABI reference 3.3). */
export class Answer {
  private constructor(readonly bytes: Uint8Array) {}

  static goOn(): Answer {
    return new Answer(new Uint8Array(0));
  }

  static goOnWith(payload: Json): Answer {
    return new Answer(prefix(0, payload.toString()));
  }

  static final(payload: Json): Answer {
    return new Answer(prefix(1, payload.toString()));
  }

  static deny(reason: string): Answer {
    return new Answer(prefix(2, reason));
  }
}

function prefix(code: u8, text: string): Uint8Array {
  const rest = encodeText(text);
  const out = new Uint8Array(rest.length + 1);
  out[0] = code;
  out.set(rest, 1);
  return out;
}

class Tool {
  constructor(
    readonly name: string,
    readonly description: string,
    readonly mutable: bool,
    readonly schema: Json,
    readonly handler: (call: ToolCall) => ToolAnswer,
  ) {}
}

/**
 * Tools, interceptors, commands and cron handlers by name. Make one at the top level, and export the entry points that the
 * manifest needs:
 *
 *   export function astrid_hook_trigger(): i32 { return capsule.hook(); }
 *
 * Handlers are functions without captured variables: AssemblyScript has no closures.
 */
export class Capsule {
  private readonly tools: Tool[] = [];
  private readonly interceptors: Map<string, (request: Request) => Answer> = new Map();
  private readonly commands: Map<string, (request: Request) => string> = new Map();
  private readonly crons: Map<string, (request: Request) => void> = new Map();

  constructor(readonly description: string = "") {}

  /**
   * `schema`: JSON Schema of the arguments, an object; a text that is no JSON object aborts while the module loads. A call
   * that lacks a required field, or has one of another type, is refused and never reaches the handler; bounds do.
   */
  tool(name: string, description: string, mutable: bool, schema: string, handler: (call: ToolCall) => ToolAnswer): Capsule {
    const parsed = Json.parse(schema);
    if (parsed === null || parsed.text("type") != "object") throw new Error("tool " + name + ": the schema is no object schema");
    if (!parsed.has("properties")) parsed.set("properties", Json.object());
    this.tools.push(new Tool(name, description, mutable, parsed.setBool("mutable", mutable), handler));
    return this;
  }

  interceptor(action: string, handler: (request: Request) => Answer): Capsule {
    this.interceptors.set(action, handler);
    return this;
  }

  /** Answers JSON text. */
  command(name: string, handler: (request: Request) => string): Capsule {
    this.commands.set(name, handler);
    return this;
  }

  cron(name: string, handler: (request: Request) => void): Capsule {
    this.crons.set(name, handler);
    return this;
  }

  /** The body of `astrid_hook_trigger`. */
  hook(): i32 {
    const request = Request.read(readInput());
    if (request === null) return fail("the request has no name");
    const name = request.name;
    if (name == "tool_describe") {
      writeOutput(encodeText(this.describe().toString()));
      return 0;
    }
    if (name == "handle_lifecycle_restart" && !this.interceptors.has(name)) return 0;
    if (this.interceptors.has(name)) {
      writeOutput(this.interceptors.get(name)(request).bytes);
      return 0;
    }
    for (let at = 0; at < this.tools.length; at++) {
      if (name == "tool_execute_" + this.tools[at].name) return runTool(this.tools[at], request);
    }
    return fail('Unknown hook "' + name + '"');
  }

  /** The body of `astrid_command_run`. */
  runCommand(): i32 {
    const request = Request.read(readInput());
    if (request === null) return fail("the request has no name");
    if (!this.commands.has(request.name)) return fail('Unknown command "' + request.name + '"');
    writeOutput(encodeText(this.commands.get(request.name)(request)));
    return 0;
  }

  /** The body of `astrid_cron_trigger`. */
  runCron(): i32 {
    const request = Request.read(readInput());
    if (request === null) return fail("the request has no name");
    if (!this.crons.has(request.name)) return fail('Unknown cron "' + request.name + '"');
    this.crons.get(request.name)(request);
    return 0;
  }

  private describe(): Json {
    const list = Json.list();
    for (let at = 0; at < this.tools.length; at++) {
      const tool = this.tools[at];
      const shown = Json.object().setText("name", tool.name).setText("description", tool.description);
      list.push(shown.set("input_schema", tool.schema));
    }
    const out = Json.object().set("tools", list);
    return this.description.length == 0 ? out : out.setText("description", this.description);
  }
}

function runTool(tool: Tool, request: Request): i32 {
  const payload = request.json();
  if (payload === null) return fail("failed to parse arguments");
  const callId = payload.text("call_id");
  if (callId.length == 0) return fail("payload.call_id: missing");
  const given = payload.get("arguments");
  const args = given === null || given.kind == Kind.Null ? Json.object() : given;
  const wrong = faultIn(args, tool.schema);
  const answer =
    wrong.length > 0 ? ToolAnswer.refuse("invalid_argument: " + wrong) : tool.handler(new ToolCall(callId, args));
  const result = Json.object()
    .setText("call_id", callId)
    .setText("content", answer.content)
    .setBool("is_error", answer.isError);
  const message = Json.object().setText("type", "tool_execute_result").setText("call_id", callId).set("result", result);
  const sent = publish("tool.v1.execute." + tool.name + ".result", message);
  const error = sent.error;
  return error === null ? 0 : fail(error.toString());
}

function fail(text: string): i32 {
  writeFailure(text);
  return 1;
}

/** The version before an upgrade: JSON `prev_version`, or the bare text that older kernels send. */
export function previousVersion(): string {
  const text = decodeText(readInput()).trim();
  const value = text.startsWith("{") ? Json.parse(text) : null;
  return value === null ? text : value.text("prev_version");
}

/** What `astrid_install` and `astrid_upgrade` answer when all is well. */
export function answerOk(): i32 {
  writeOutput(encodeText('{"ok":true}'));
  return 0;
}
