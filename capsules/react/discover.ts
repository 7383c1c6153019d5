import * as hooks from 'astrid/sdk/hooks';
import { type Provider, providerSchema, type ToolDefinition, toolDefinitionSchema } from 'astrid/sdk/llm';
import * as log from 'astrid/sdk/log';
import * as time from 'astrid/sdk/time';
import { mayReturn, Recent } from './recent.js';
import type { Settings } from './settings.js';

/** What is there right now: which provider to ask, and which tools to offer. Both by asking every capsule. */
export interface ChosenProvider {
  readonly topic: string;
  readonly model: string;
}

const FALLBACK_ID = 'offline';
const REQUEST_PREFIX = 'llm.v1.request.generate.';
/** Exactly one more segment: the topic comes from another capsule or from configuration. */
const REQUEST_TOPIC = /^llm\.v1\.request\.generate\.[A-Za-z0-9_-]{1,64}$/;
const TOOL_NAME = /^[A-Za-z0-9_:-]{1,64}$/;
const TOOLS_MAX = 128;
const recentProviders = new Recent<Provider>();
const recentTools = new Recent<ToolDefinition>();

/** There is nobody to ask; `reason` is the turn's. */
export class NoProvider extends Error {
  readonly reason: 'bad_config' | 'no_provider';

  constructor(reason: NoProvider['reason'], message: string) {
    super(message);
    this.reason = reason;
  }
}

/**
 * The provider that the settings name; else the first by id of those that describe themselves, the built-in one only when
 * it is alone. One that was seen lately counts while it may be in a restart, and no other does: nothing answers a request
 * that no capsule takes.
 * @throws NoProvider
 */
export function chooseProvider({ providerTopic: named, model }: Settings): ChosenProvider {
  if (named !== '' && !REQUEST_TOPIC.test(named))
    throw new NoProvider('bad_config', `llm_provider_topic: expected ${REQUEST_PREFIX}<provider>`);
  const nowMs = time.now();
  const answers = hooks.trigger('llm.v1.request.describe').flatMap(readProviders);
  const providers = recentProviders.refresh(new Map(answers.map((entry) => [nameOf(entry), entry])), nowMs);
  const chosen =
    named === ''
      ? (providers.find(({ id }) => id !== FALLBACK_ID) ?? providers[0])
      : providers.find((provider) => provider.request_topic === named);
  if (chosen !== undefined) return { topic: chosen.request_topic, model: model || chosen.id };
  // After a crash of this capsule, too, what is in a restart was never seen: its topic is known all the same.
  if (mayReturn(Number.NEGATIVE_INFINITY, nowMs)) {
    const topic = named || `${REQUEST_PREFIX}${FALLBACK_ID}`;
    return { topic, model: model || topic.slice(REQUEST_PREFIX.length) };
  }
  const offered = providers.map((provider) => provider.request_topic).join(', ') || 'none';
  const nobody = 'no capsule offers one (llm.v1.request.describe had no answer); see: astrid ps';
  throw new NoProvider('no_provider', named === '' ? nobody : `llm_provider_topic is ${named}; offered: ${offered}`);
}

/** Nobody takes messages there any more; a capsule that was started again describes itself again. */
export function forgetProvider(topic: string): void {
  recentProviders.drop((provider) => provider.request_topic === topic);
}

/** By id, and by topic where two have the same: an order that does not depend on who answered first. */
function nameOf({ id, request_topic }: Provider): string {
  return `${id}\n${request_topic}`;
}

function readProviders(answer: unknown): Provider[] {
  return readList(answer, 'providers').flatMap((entry) => {
    try {
      const provider = providerSchema.parse(entry, 'provider');
      if (REQUEST_TOPIC.test(provider.request_topic)) return [provider];
      log.warn(`provider ${provider.id} is left out: its request topic is ${provider.request_topic}`);
    } catch (thrown) {
      log.warn(`a provider entry is left out: ${(thrown as Error).message}`);
    }
    return [];
  });
}

/** The tools of all capsules; the first of each name, and none whose name cannot be a topic segment. */
export function collectTools(): ToolDefinition[] {
  const tools = new Map<string, ToolDefinition>();
  for (const entry of hooks.trigger('tool.v1.request.describe').flatMap(readToolEntries)) {
    try {
      const tool = toolDefinitionSchema.parse(entry, 'tool');
      if (!TOOL_NAME.test(tool.name)) log.warn(`the tool ${JSON.stringify(tool.name)} is left out: not a tool name`);
      else if (tools.has(tool.name)) log.warn(`two capsules offer the tool ${tool.name}; the first is used`);
      else if (tools.size < TOOLS_MAX) tools.set(tool.name, tool);
    } catch (thrown) {
      log.warn(`a tool is left out: ${(thrown as Error).message}`);
    }
  }
  return recentTools.refresh(tools, time.now());
}

/** `tools` is a list of definitions or, from SDK 0.5.0 and 0.5.1, a map from name to schema (ABI reference 3.4). */
function readToolEntries(answer: unknown): unknown[] {
  const list = readList(answer, 'tools');
  if (list.length > 0) return list;
  const map = (answer as { tools?: unknown } | null)?.tools;
  if (typeof map !== 'object' || map === null || Array.isArray(map)) return [];
  return Object.entries(map).map(([name, input_schema]) => ({ name, input_schema }));
}

function readList(answer: unknown, field: string): unknown[] {
  if (typeof answer !== 'object' || answer === null || !Object.hasOwn(answer, field)) return [];
  const list = (answer as Record<string, unknown>)[field];
  return Array.isArray(list) ? list : [];
}
