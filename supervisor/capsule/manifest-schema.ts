import { z } from 'zod';
import type { CAPABILITIES } from '../../abi/capabilities.js';
import { LIMITS } from '../../abi/limits.js';
import { RESTART_POLICIES } from '../../abi/manifest.js';
import { CAPSULE_NAME } from './names.js';
import { isFullVersion, toNpmRange } from './semver-rule.js';

/*
 * The sections of Capsule.toml (ABI reference 6.1, 6.3, 6.4). Every message completes the sentence "expected …"; the
 * loader adds where and what it got. Objects are strict: an unknown key is an issue, which the loader turns into an
 * error or a warning by generation.
 */

const LIST_ITEMS_MAX = 1024;
const TABLES_MAX = 256;

const text = (what: string, charsMax = 256) =>
  z
    .string(what)
    .min(1, what)
    .max(charsMax, `${what} of at most ${charsMax} characters`)
    .regex(/^[^\x00-\x1f\x7f]*$/, `${what} without control characters`);
/** Prose for people; may have several lines. Whoever prints it strips control characters. */
const prose = z.string('a text').max(4096, 'a text of at most 4096 characters');
const list = <T extends z.ZodType>(entry: T, what: string) =>
  z.array(entry, what).max(LIST_ITEMS_MAX, `at most ${LIST_ITEMS_MAX} entries`);
const tables = <T extends z.ZodType>(entry: T, header: string) =>
  z.array(entry, `a list of tables, each headed [[${header}]]`).max(TABLES_MAX, `at most ${TABLES_MAX} tables`);
const flag = z.boolean('true or false');
const choice = <const T extends readonly [string, ...string[]]>(values: T) =>
  z.enum(values, `one of ${values.map((value) => `"${value}"`).join(', ')}`);
const wholeNumber = (min: number, max: number) => {
  const what = `a whole number from ${min} to ${max}`;
  return z.int(what).min(min, what).max(max, what);
};

const version = z.string('a full version such as "1.0.0"').refine(isFullVersion, 'a full version such as "1.0.0"');
const rangeText = 'a version requirement such as "^1.0"';
const range = z.string(rangeText).refine((value) => toNpmRange(value) !== null, rangeText);

const relativePath = z
  .string('a path relative to the capsule')
  .max(1024, 'a path of at most 1024 characters')
  .refine(isRelativePath, 'a path relative to the capsule, without ".." and without a leading "/"');

const patternText = `a topic pattern: dot-separated segments, none empty, at most ${LIMITS.topicSegmentsMax}`;
const topicPattern = z.string(patternText).refine(isTopicPattern, patternText);
const actionName = text('the name of an action', 128).regex(/^\S*$/, 'the name of an action, without spaces');
const priority = wholeNumber(0, 0xffff_ffff);
const fail = choice(['open', 'closed']);

/** Recorded shapes: `[package]`. `abi` and `restart` are ours. */
const packageSection = z.strictObject(
  {
    name: z.string(CAPSULE_NAME.is).regex(CAPSULE_NAME.pattern, CAPSULE_NAME.is),
    version,
    description: prose.optional(),
    repository: prose.optional(),
    homepage: prose.optional(),
    documentation: prose.optional(),
    license: prose.optional(),
    'license-file': prose.optional(),
    readme: prose.optional(),
    authors: list(prose, 'a list of texts').optional(),
    keywords: list(prose, 'a list of texts').optional(),
    categories: list(prose, 'a list of texts').optional(),
    'astrid-version': range.optional(),
    publish: flag.optional(),
    include: list(prose, 'a list of texts').optional(),
    exclude: list(prose, 'a list of texts').optional(),
    metadata: z.record(z.string(), z.unknown(), 'a table').optional(),
    abi: z.literal([1, 2, 3], 'one of 1, 2, 3').optional(),
    restart: choice(RESTART_POLICIES as readonly ['always', 'on-failure', 'never']).optional(),
  },
  'a table with name and version',
);

const patternList = list(text('a pattern', 1024), 'a list of patterns');
const topicList = list(topicPattern, 'a list of topic patterns');

const COMPONENT_LISTS = ['fs_read', 'fs_write', 'host_process', 'net', 'net_bind'] as const;
const componentCapabilities = z.strictObject(
  Object.fromEntries(COMPONENT_LISTS.map((name) => [name, patternList.optional()])) as Record<
    (typeof COMPONENT_LISTS)[number],
    z.ZodOptional<typeof patternList>
  >,
  'a table of capability lists',
);

const component = z.strictObject(
  {
    id: z.union([text('a text'), z.literal('')], 'a text').optional(),
    file: relativePath.optional(),
    entrypoint: relativePath.optional(),
    hash: text('a text').optional(),
    type: choice(['executable', 'library']).optional(),
    link: list(text('a text'), 'a list of texts').optional(),
    capabilities: componentCapabilities.optional(),
  },
  'a table',
);

/** `net_connect` and `allow_persistent` belong to a later era; they are known and mean nothing here. */
const capabilities = z.strictObject(
  {
    fs_read: patternList.optional(),
    fs_write: patternList.optional(),
    ipc_publish: topicList.optional(),
    ipc_subscribe: topicList.optional(),
    kv: patternList.optional(),
    net: patternList.optional(),
    net_bind: patternList.optional(),
    host_process: patternList.optional(),
    identity: list(choice(['resolve', 'link', 'admin']), 'a list of "resolve", "link", "admin"').optional(),
    cron: flag.optional(),
    uplink: flag.optional(),
    allow_prompt_injection: flag.optional(),
    net_connect: z.unknown().optional(),
    allow_persistent: z.unknown().optional(),
  } satisfies Record<keyof typeof CAPABILITIES | 'net_connect' | 'allow_persistent', z.ZodType>,
  'a table',
);

const envName = 'a name of 1 to 128 letters, digits, "_", "-" or ".", not first a digit';
const envDefault = z.union([z.string(), z.number(), z.boolean(), z.array(z.string())], 'a text or a list of texts');
const env = z.record(
  z.string().regex(/^[A-Za-z_][A-Za-z0-9_.-]{0,127}$/),
  z.strictObject(
    {
      type: choice(['string', 'secret', 'array']),
      request: prose.optional(),
      description: prose.optional(),
      default: envDefault.optional(),
      enum_values: list(prose, 'a list of texts').optional(),
      placeholder: prose.optional(),
    },
    'a table such as { type = "string" }',
  ),
  { error: (issue) => (issue.code === 'invalid_key' ? envName : 'a table') },
);

const typeHint = {
  wit: prose.optional(),
  fanout: flag.optional(),
  version: prose.optional(),
  tag: prose.optional(),
  rev: prose.optional(),
  branch: prose.optional(),
  path: prose.optional(),
};
const PINS = ['version', 'tag', 'rev', 'branch', 'path'] as const;
const onePin = (entry: Partial<Record<(typeof PINS)[number], unknown>>) =>
  PINS.filter((pin) => entry[pin] !== undefined).length <= 1;
const onePinText = `at most one of ${PINS.join(', ')}`;
/** `"topic" = "type"` is short for `"topic" = { wit = "type" }`. */
const expandHint = (value: unknown) => (typeof value === 'string' ? { wit: value } : value);
const topicTableError = {
  error: (issue: { code?: string | undefined }) =>
    issue.code === 'invalid_key' ? patternText : 'a table of topic patterns',
};
const hintError = 'a table such as { wit = "…" }';

const publish = z.record(
  topicPattern,
  z.preprocess(expandHint, z.strictObject(typeHint, hintError).refine(onePin, onePinText)),
  topicTableError,
);
const subscribe = z.record(
  topicPattern,
  z.preprocess(
    expandHint,
    z
      .strictObject(
        { ...typeHint, handler: actionName.optional(), priority: priority.optional(), fail: fail.optional() },
        hintError,
      )
      .refine(onePin, onePinText),
  ),
  topicTableError,
);

const interceptor = z.strictObject(
  { event: topicPattern, action: actionName, priority: priority.optional(), fail: fail.optional() },
  'a table',
);
const command = z.strictObject(
  {
    name: text('a command name without "/"', 128).regex(/^[^/]*$/, 'a command name without "/"'),
    description: prose.optional(),
    file: relativePath.optional(),
  },
  'a table',
);
/** One segment of a topic: it becomes part of `tool.v1.execute.<name>`. */
const toolName = 'a tool name of letters, digits, "-", "_" and ":"';
const tool = z.strictObject(
  {
    name: text(toolName, 128).regex(/^[A-Za-z0-9_:-]+$/, toolName),
    description: prose.optional(),
    input_schema: z
      .union([z.record(z.string(), z.unknown()), z.string()], 'a JSON Schema, as a table or as text')
      .optional(),
  },
  'a table',
);
const uplink = z.strictObject(
  {
    name: text('a text'),
    platform: text('a text'),
    profile: choice(['chat', 'interactive', 'notify', 'bridge']),
  },
  'a table',
);
const topicNameText = 'a topic name of letters, digits, "-" and "_" in dot-separated segments';
const topic = z.strictObject(
  {
    name: z
      .string(topicNameText)
      .max(LIMITS.topicBytesMax, topicNameText)
      .regex(/^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$/, topicNameText),
    direction: choice(['publish', 'subscribe']),
    description: prose.optional(),
    schema: relativePath.optional(),
  },
  'a table',
);
const cron = z.strictObject(
  {
    name: text('a name of 1 to 128 characters', 128),
    schedule: text('a schedule such as "0 2 * * *"', 256),
    action: actionName,
    timezone: text('a time zone such as "Europe/Berlin"', 64).optional(),
    missed: choice(['once', 'skip']).optional(),
  },
  'a table',
);
/** A manifest may ask for less than the default, never for more: raising a limit is the operator's to do. */
const limits = z.strictObject(
  {
    memory_pages: wholeNumber(1, LIMITS.memoryPagesDefault).optional(),
    wall_ms: wholeNumber(1, LIMITS.invocationWallMs).optional(),
  },
  'a table',
);

/** Entries of `[imports]` and `[exports]`, after the short form `"^1.0"` became `{ version = "^1.0" }`. */
export const IMPORT_ENTRY = z.strictObject(
  { version: range, optional: flag.optional() },
  `${rangeText} or a table { version, optional }`,
);
export const EXPORT_ENTRY = z.strictObject({ version }, 'a full version such as "1.0.0" or a table { version }');

const namespaces = z.record(z.string(), z.unknown(), 'a table');

/** Known sections by top-level key. */
export const SECTIONS = {
  package: packageSection,
  component: tables(component, 'component').optional(),
  imports: namespaces.optional(),
  exports: namespaces.optional(),
  capabilities: capabilities.optional(),
  env: env.optional(),
  publish: publish.optional(),
  subscribe: subscribe.optional(),
  interceptor: tables(interceptor, 'interceptor').optional(),
  command: tables(command, 'command').optional(),
  tool: tables(tool, 'tool').optional(),
  uplink: tables(uplink, 'uplink').optional(),
  topic: tables(topic, 'topic').optional(),
  cron: tables(cron, 'cron').optional(),
  limits: limits.optional(),
} as const;

export type SectionName = keyof typeof SECTIONS;
export type ManifestSections = { readonly [Name in SectionName]: z.output<(typeof SECTIONS)[Name]> };

/** Sections that are legal and that nothing in this version reads, with what a person should know. */
export const UNUSED_SECTIONS: ReadonlyMap<string, string> = new Map([
  ['skill', 'skills are not used by this version; this section is ignored'],
  ['context_file', 'context files are not used by this version; this section is ignored'],
  ['mcp_server', 'MCP servers are not started by this version; this section is ignored'],
  ['dependencies', 'replaced by [imports] and [exports]; this section is ignored'],
  ['llm_provider', 'providers are found through topics; this section is ignored'],
]);

function isRelativePath(path: string): boolean {
  if (path === '' || path.startsWith('/') || /[\x00-\x1f\x7f\\]/.test(path)) return false;
  return !path.split('/').includes('..');
}

function isTopicPattern(pattern: string): boolean {
  if (Buffer.byteLength(pattern) > LIMITS.topicBytesMax || /[\s\x00-\x1f\x7f]/.test(pattern)) return false;
  const segments = pattern.split('.');
  return segments.length <= LIMITS.topicSegmentsMax && segments.every((segment) => segment !== '');
}
