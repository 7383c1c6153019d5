import './globals.js';
import { decodeText, encodeJson, encodeText } from './call.js';
import { encodeResult, type InterceptorContext, type InterceptorHandler } from './interceptor.js';
import type { Tool } from './tool.js';
import type { UplinkSource } from './uplink-source.js';

/**
 * What a capsule is made of. Call `defineCapsule` once, at the top level of its main module; nothing there may call the
 * kernel, because that code runs when the capsule is built, not when it is loaded. Handlers may be async: host calls are
 * synchronous, so their promises settle within the invocation.
 */
export interface CapsuleDefinition {
  /** One line for models, beside the tools' own. */
  readonly description?: string;
  readonly tools?: readonly Tool[];
  /** By action, the `handler` (or `action`) of the manifest. */
  readonly interceptors?: Readonly<Record<string, InterceptorHandler>>;
  /** By name, without the slash. The result goes back as JSON. */
  readonly commands?: Readonly<Record<string, (args: unknown) => unknown>>;
  /** By timer name (`astrid/sdk/cron`). The payload is what was scheduled, parsed; undefined when there was none. */
  readonly cron?: Readonly<Record<string, (payload: unknown) => unknown>>;
  /** Registered before `run` begins (`astrid/sdk/uplink-source`). */
  readonly uplinks?: readonly UplinkSource[];
  /** A loop that never returns (see `loop.ts`); interceptors then arrive through `runtime.interceptorHandles`. */
  run?(): void | Promise<void>;
  install?(): void | Promise<void>;
  upgrade?(previousVersion: string): void | Promise<void>;
  /** Called once after the kernel restarted the capsule. It acts for nobody: there is no caller and no session. */
  restarted?(): void | Promise<void>;
}

type Bytes = Uint8Array | undefined;
type Action = (input: Uint8Array) => Bytes | Promise<Bytes>;

interface GuestGlobals {
  __astrid_dispatch?: (entry: string, input: Uint8Array) => Bytes | Promise<Bytes>;
  __astrid_exports?: string[];
  __astrid_actions?: string[];
}

const RESTARTED = 'handle_lifecycle_restart';
const DESCRIBE = 'tool_describe';

/**
 * Sets what the adaptor around the script reads: `__astrid_dispatch` (an entry point and its input bytes to its output
 * bytes), `__astrid_exports` (the exports to make) and `__astrid_actions` (for checks against the manifest).
 * @throws Error when two things claim one action, or an entry of `tools` is not made by `tool()`.
 */
export function defineCapsule(definition: CapsuleDefinition): void {
  const globals = globalThis as GuestGlobals;
  if (globals.__astrid_dispatch !== undefined) throw new Error('defineCapsule was called twice');
  const actions = collectActions(definition);
  const commands = new Map(Object.entries(definition.commands ?? {}));
  const entries = new Map<string, Action>([['astrid_hook_trigger', (input) => runNamed(actions, 'hook', input)]]);
  const crons = new Map(Object.entries(definition.cron ?? {}));
  const { run, install, upgrade, uplinks = [] } = definition;
  if (commands.size > 0)
    entries.set('astrid_command_run', (input) => runNamed(commandActions(commands), 'command', input));
  if (crons.size > 0) entries.set('astrid_cron_trigger', (input) => runNamed(cronActions(crons), 'cron', input));
  if (uplinks.length > 0 && !run) throw new Error('uplinks need a run loop');
  if (run) {
    entries.set('run', () => {
      for (const uplink of uplinks) uplink.register();
      return then(run(), () => undefined);
    });
  }
  if (install) entries.set('astrid_install', () => then(install(), encodeOk));
  if (upgrade) entries.set('astrid_upgrade', (input) => then(upgrade(previousVersion(input)), encodeOk));
  globals.__astrid_exports = [...entries.keys()];
  globals.__astrid_actions = [...actions.keys()];
  globals.__astrid_dispatch = (entry, input) => {
    const action = entries.get(entry);
    if (action === undefined) throw new Error(`this capsule has no ${entry}`);
    return action(input);
  };
}

/** A map, not an object: an action named `constructor` must be unknown, not inherited. */
function collectActions(definition: CapsuleDefinition): Map<string, Action> {
  const actions = new Map<string, Action>();
  const add = (name: string, action: Action): void => {
    if (actions.has(name)) throw new Error(`the action ${name} is defined twice`);
    actions.set(name, action);
  };
  for (const [name, handler] of Object.entries(definition.interceptors ?? {}))
    add(name, interceptorAction(name, handler));
  const tools = definition.tools ?? [];
  tools.forEach(requireTool);
  for (const tool of tools)
    add(`tool_execute_${tool.name}`, (input) => then(tool.execute(parsePayload(input)), () => undefined));
  if (tools.length > 0) add(DESCRIBE, () => encodeJson(describeTools(tools, definition.description)));
  add(RESTARTED, () => then(definition.restarted?.(), () => undefined));
  return actions;
}

/** The build does not check types: an object that only looks like a tool would be one that nobody can call. */
function requireTool(tool: Partial<Tool> | null | undefined, index: number): void {
  if (typeof tool?.describe === 'function' && typeof tool.execute === 'function') return;
  const name = typeof tool?.name === 'string' ? ` ("${tool.name}")` : '';
  throw new Error(`tools[${index}]${name} is not made by tool() of astrid/sdk/tool`);
}

function interceptorAction(action: string, handler: InterceptorHandler): Action {
  return (input) => {
    const context: InterceptorContext = { action, input };
    return then(handler(parsePayload(input), context), (result) => encodeResult(result ?? undefined));
  };
}

function commandActions(commands: ReadonlyMap<string, (args: unknown) => unknown>): Map<string, Action> {
  const pairs = [...commands].map(([name, handler]): [string, Action] => [
    name,
    (input) => then(handler(parsePayload(input)), (result) => (result === undefined ? undefined : encodeJson(result))),
  ]);
  return new Map(pairs);
}

function cronActions(crons: ReadonlyMap<string, (payload: unknown) => unknown>): Map<string, Action> {
  const pairs = [...crons].map(([name, handler]): [string, Action] => [
    name,
    (input) => then(handler(parsePayload(input)), () => undefined),
  ]);
  return new Map(pairs);
}

function describeTools(tools: readonly Tool[], description: string | undefined): unknown {
  const list = tools.map((tool) => tool.describe());
  return description === undefined ? { tools: list } : { tools: list, description };
}

/** The request of ABI reference 3.2: a name, and the payload as an array of byte values. */
function runNamed(
  actions: ReadonlyMap<string, Action>,
  kind: 'hook' | 'command' | 'cron',
  input: Uint8Array,
): Bytes | Promise<Bytes> {
  const request = JSON.parse(decodeText(input)) as { name?: unknown; arguments?: unknown } | null;
  if (typeof request?.name !== 'string') throw new Error('the request has no name');
  const action = actions.get(request.name);
  if (action === undefined) throw new Error(`Unknown ${kind} "${request.name}"`);
  return action(Uint8Array.from(Array.isArray(request.arguments) ? (request.arguments as number[]) : []));
}

function parsePayload(input: Uint8Array): unknown {
  if (input.length === 0) return undefined;
  try {
    return JSON.parse(decodeText(input));
  } catch (cause) {
    throw new Error('failed to parse arguments', { cause });
  }
}

/** JSON `{prev_version}` as the ABI should have it, or the bare text that upstream sends (ABI reference 3.5). */
function previousVersion(input: Uint8Array): string {
  const text = decodeText(input).trim();
  if (!text.startsWith('{')) return text;
  const request = JSON.parse(text) as { prev_version?: unknown };
  return typeof request.prev_version === 'string' ? request.prev_version : '';
}

function encodeOk(): Bytes {
  return encodeText('{"ok":true}');
}

/** Goes on at once after a plain value: a promise costs the interpreter a round through its job queue. */
function then<T, U>(value: T | Promise<T>, next: (value: T) => U): U | Promise<U> {
  return value instanceof Promise ? value.then(next) : next(value);
}
