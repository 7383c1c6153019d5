import { parse } from 'smol-toml';
import { CAPABILITIES, CAPABILITY_NAMES, type CapabilityName } from '../../abi/capabilities.js';
import { asFault } from '../../abi/errno.js';
import type { CapsuleManifest } from '../../abi/manifest.js';
import { SYSCALLS } from '../../abi/table.js';
import type { CheckCode, CheckFacts, CheckFinding, CheckMentions } from '../../abi/testing/check-contract.js';
import { inspectModule, type ModuleReport } from '../../abi/wasm/inspect.js';
import { matchAcl } from '../../bus/topic-match.js';
import { detectGeneration } from '../capsule/generation.js';
import { parseManifest } from '../capsule/manifest-loader.js';
import { findNearestKey } from '../capsule/nearest-key.js';
import { TomlLines, type TomlPath } from '../capsule/toml-lines.js';

const MANIFEST = 'Capsule.toml';
const TOOL_ACTION = 'tool_execute_';
/** Called by the kernel without an interceptor. */
const KERNEL_ACTIONS = new Set(['handle_lifecycle_restart']);
/** What the kernel gives to uplinks, whatever their manifest declares. */
const KERNEL_ENV = new Set(['ASTRID_SOCKET_PATH']);
/** They mean more than the calls behind them, so that no call uses them is no sign. */
const NEVER_UNUSED = new Set<CapabilityName>(['uplink', 'allow_prompt_injection', 'kv']);

/** Holds a manifest against the module and against what the sources say. Never throws for what an author wrote. */
export function checkCapsule(text: string, wasm: Uint8Array, facts: CheckFacts): CheckFinding[] {
  const check = new Check(text);
  const manifest = check.attempt('bad_manifest', () => parseManifest(text));
  const report = check.attempt('bad_module', () => inspectModule(wasm));
  if (manifest === null || report === null) return check.findings;
  for (const { line, message, path } of manifest.warnings) {
    const code = message.startsWith('unknown key') ? 'unknown_key' : 'manifest_note';
    check.add('warning', code, line, path === '' ? message : `${path}: ${message}`);
  }
  check.attempt('bad_manifest', () => detectGeneration(report, manifest.abi));
  checkCapabilities(check, manifest, report);
  checkActions(check, manifest, report, facts.actions);
  checkTopics(check, manifest, facts);
  checkEnv(check, manifest, facts.env);
  return check.findings.sort((a, b) => (a.file === b.file ? a.line - b.line : a.file < b.file ? -1 : 1));
}

class Check {
  readonly findings: CheckFinding[] = [];
  readonly #lines: TomlLines;
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
    this.#lines = new TomlLines(text);
  }

  add(level: CheckFinding['level'], code: CheckCode, where: TomlPath | number, message: string): void {
    const line = typeof where === 'number' ? where : this.#lines.lineOf(where);
    this.findings.push({ level, code, file: MANIFEST, line, message });
  }

  /** In a source file. */
  addAt(code: CheckCode, { file, line }: { file: string; line: number }, message: string): void {
    this.findings.push({ level: 'error', code, file, line, message });
  }

  /** A Fault of the kernel's own readers is a finding, with the line that its text names. */
  attempt<T>(code: CheckCode, work: () => T): T | null {
    try {
      return work();
    } catch (thrown) {
      const fault = asFault(thrown);
      if (fault.code === 'internal') throw thrown;
      const [, line, rest] = /^Capsule\.toml(?: line (\d+))?(?:, column \d+)?: (.*)$/s.exec(fault.message) ?? [];
      const unknown = fault.message.includes('unknown key');
      const kind = fault.code === 'not_served' ? 'not_served' : unknown ? 'unknown_key' : code;
      this.add('error', kind, Number(line ?? 0), rest ?? fault.message);
      return null;
    }
  }

  /** Where an interceptor stands: in a table of its own or as the handler of a `[subscribe]` entry. */
  placeOf(event: string, action: string): TomlPath {
    const document = parse(this.#text) as { interceptor?: readonly { event?: unknown; action?: unknown }[] };
    const index = document.interceptor?.findIndex((row) => row.event === event && row.action === action) ?? -1;
    return index >= 0 ? ['interceptor', index, 'action'] : ['subscribe', event];
  }
}

function checkCapabilities(check: Check, manifest: CapsuleManifest, report: ModuleReport): void {
  const used = new Map<CapabilityName, string[]>();
  for (const { name, capability } of SYSCALLS) {
    if (capability === null || !report.hostCalls.includes(name)) continue;
    used.set(capability, [...(used.get(capability) ?? []), name]);
  }
  for (const name of CAPABILITY_NAMES) {
    const calls = used.get(name);
    const asked = isAsked(manifest, name);
    const section = name === 'ipc_publish' ? '[publish]' : name === 'ipc_subscribe' ? '[subscribe]' : '[capabilities]';
    if (calls !== undefined && !asked) {
      const what = `the code calls ${calls.join(', ')}, and ${section} does not ask for ${name}`;
      check.add('error', 'missing_capability', ['capabilities'], what);
    }
    if (calls !== undefined || !asked || NEVER_UNUSED.has(name)) continue;
    if (name === 'cron' && manifest.cron.length > 0) continue;
    if (name === 'ipc_subscribe' && manifest.subscribe.every((topic) => isHandled(manifest, topic))) continue;
    const what = `${name} is asked for ("${CAPABILITIES[name].may} …"), and the code never uses it`;
    check.add('warning', 'unused_capability', placeOfCapability(manifest, name), what);
  }
}

function isHandled(manifest: CapsuleManifest, topic: string): boolean {
  return manifest.interceptors.some(({ event }) => event === topic);
}

function isAsked(manifest: CapsuleManifest, name: CapabilityName): boolean {
  const value = manifest.capabilities[name];
  return value === true || (Array.isArray(value) && value.length > 0);
}

function placeOfCapability(manifest: CapsuleManifest, name: CapabilityName): TomlPath {
  if (name === 'ipc_publish' && manifest.publish[0] !== undefined) return ['publish', manifest.publish[0]];
  if (name === 'ipc_subscribe' && manifest.subscribe[0] !== undefined) return ['subscribe', manifest.subscribe[0]];
  return ['capabilities', name];
}

function checkActions(
  check: Check,
  manifest: CapsuleManifest,
  report: ModuleReport,
  actions: readonly string[] | null,
): void {
  if (manifest.commands.length > 0 && !report.entryPoints.includes('astrid_command_run')) {
    check.add('error', 'missing_export', ['command', 0], 'the manifest has commands, and the code defines none');
  }
  // A run loop reads its interceptors itself: an action is only a label there.
  if (actions === null || report.entryPoints.includes('run')) return;
  const byTimer = report.entryPoints.includes('astrid_cron_trigger') ? [] : manifest.cron;
  const named = new Set([...manifest.interceptors, ...byTimer].map(({ action }) => action));
  const requireAction = (action: string, place: TomlPath): void => {
    if (actions.includes(action)) return;
    const nearest = findNearestKey(action, actions);
    const hint = nearest === null ? '' : `; did you mean ${nearest}?`;
    check.add('error', 'missing_action', place, `the code has no action ${action}${hint}`);
  };
  for (const { event, action } of manifest.interceptors) requireAction(action, check.placeOf(event, action));
  for (const [index, { action }] of byTimer.entries()) requireAction(action, ['cron', index, 'action']);
  for (const action of actions) {
    if (!named.has(action) && !KERNEL_ACTIONS.has(action)) {
      const event = action.startsWith(TOOL_ACTION) ? `tool.v1.execute.${action.slice(TOOL_ACTION.length)}` : null;
      const way = event === null ? 'add an [[interceptor]] for it' : `add an [[interceptor]] with event = "${event}"`;
      check.add('warning', 'unreachable_action', 0, `nothing calls the action ${action}: ${way}`);
    }
    const result = resultTopic(action);
    if (result === null || manifest.publish.some((pattern) => matchAcl(pattern, result))) continue;
    const what = `the tool answers on ${result}, which [publish] does not list`;
    check.add('error', 'unlisted_topic', ['publish'], what);
  }
}

function resultTopic(action: string): string | null {
  return action.startsWith(TOOL_ACTION) ? `tool.v1.execute.${action.slice(TOOL_ACTION.length)}.result` : null;
}

function checkTopics(check: Check, manifest: CapsuleManifest, facts: CheckFacts): void {
  const lists = [
    { section: 'publish', patterns: manifest.publish, mentions: facts.publishes },
    { section: 'subscribe', patterns: manifest.subscribe, mentions: facts.subscribes },
  ] as const;
  for (const { section, patterns, mentions } of lists) {
    for (const mention of mentions.known) {
      if (patterns.some((pattern) => matchAcl(pattern, mention.text))) continue;
      check.addAt('unlisted_topic', mention, `${section}("${mention.text}") is not listed in [${section}]`);
    }
    if (mentions.open || facts.actions === null) continue;
    const used = [
      ...mentions.known.map(({ text }) => text),
      ...facts.actions.map((action) => resultTopic(action) ?? ''),
    ];
    for (const pattern of patterns) {
      if (used.some((topic) => matchAcl(pattern, topic)) || isHandled(manifest, pattern)) continue;
      check.add('warning', 'unused_topic', [section, pattern], `the code never uses ${pattern}`);
    }
  }
}

function checkEnv(check: Check, manifest: CapsuleManifest, env: CheckMentions): void {
  const declared = manifest.env.map(({ name }) => name);
  for (const mention of env.known) {
    if (declared.includes(mention.text) || KERNEL_ENV.has(mention.text)) continue;
    const nearest = findNearestKey(mention.text, declared);
    const hint = nearest === null ? '' : `; did you mean ${nearest}?`;
    check.addAt('undeclared_env', mention, `env.get("${mention.text}") is not declared in [env]${hint}`);
  }
  if (env.open) return;
  for (const { name, type } of manifest.env) {
    // A secret's value is never given out: calls name it in other ways.
    if (type === 'secret' || env.known.some(({ text }) => text === name)) continue;
    check.add('warning', 'unused_env', ['env', name], `the code never reads ${name}`);
  }
}
