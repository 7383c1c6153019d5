import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { parse, TomlError } from 'smol-toml';
import { z } from 'zod';
import { APPROVAL_MODES, type ApprovalMode } from '../abi/control.js';
import { Fault } from '../abi/errno.js';
import { LIMITS } from '../abi/limits.js';
import { actionOf, SYSCALLS } from '../abi/table.js';
import { CAPSULE_NAME } from './capsule/names.js';
import { findNearestKey } from './capsule/nearest-key.js';
import { formatTomlPath, TomlLines, type TomlPath } from './capsule/toml-lines.js';
import { normalBlock } from './host-names.js';
import { normalGrant } from './http/local-grants.js';

export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** The operator's hard blocks. Patterns: `*` within a segment, `**` across (gate/glob.ts). */
export interface PolicyConfig {
  readonly denyPaths: readonly string[];
  /** Hosts that no capsule may request, in the spelling of host-names.ts. */
  readonly denyHosts: readonly string[];
  readonly denyCapsules: readonly string[];
  /** Host calls, without their prefix. */
  readonly denyActions: readonly string[];
  readonly argumentBytesMax: number;
}

/** The operator's settings, complete and frozen. */
export interface Config {
  readonly approval: { readonly mode: ApprovalMode };
  readonly policy: PolicyConfig;
  /** Capsules that may run in tier `process` where the jail cannot be had. */
  readonly tiers: { readonly acceptWeaker: readonly string[] };
  /** Capsules whose commands may use the network. */
  readonly process: { readonly network: readonly string[] };
  readonly capsules: { readonly disabled: readonly string[] };
  /** Local places that capsules may request: `host:port`, as it stands in the URL. */
  readonly net: { readonly local: readonly string[] };
  readonly log: { readonly level: LogLevel };
  readonly secrets: { readonly store: 'file' | 'keyring' };
  readonly tokens: { readonly required: boolean };
  readonly budget: { readonly configured: boolean };
}

const CONFIG_BYTES_MAX = 1024 * 1024;
const LIST_MAX = 1000;
const PATTERN_CHARS_MAX = 1024;
const SCHEMES = ['cwd', 'home', 'tmp'];
/** What passes the gate, and so can be denied: the calls that the supervisor serves. The others are answered without asking it. */
const GATED: ReadonlySet<string> = new Set(SYSCALLS.filter(({ path }) => path === 'supervisor').map(actionOf));

const expected = (what: string) => ({ error: `expected ${what}` });
const list = <T extends z.ZodType>(item: T, what: string) =>
  z
    .array(item, expected(`a list of ${what}`))
    .max(LIST_MAX, expected(`at most ${LIST_MAX} entries`))
    .default([]);
const oneOf = <const T extends readonly [string, ...string[]]>(values: T) =>
  z.enum(values, expected(`one of ${values.map((value) => `"${value}"`).join(', ')}`));

/** A name that no capsule can have would block nothing, and look as if it did. */
const CAPSULE = expected(`the name of a capsule, ${CAPSULE_NAME.is}`);
const capsuleName = z.string(CAPSULE).regex(CAPSULE_NAME.pattern, CAPSULE);
/** A pattern without a scheme would match nothing: a block that does not block is worse than an error. */
const pathPattern = z
  .string(expected('a path pattern'))
  .max(PATTERN_CHARS_MAX, expected(`at most ${PATTERN_CHARS_MAX} characters`))
  .refine(
    isPathPattern,
    expected('a path pattern such as "home://.ssh/**" or "**/.env", without `.` or `..` segments'),
  );
const HOST_TO_BLOCK = expected(
  'a host such as "example.org" (and all below it), "*.example.org", "192.0.2.1" or "[2001:db8::1]", without scheme, port or path',
);
const blockedHost = z.string(HOST_TO_BLOCK).transform((entry, context) => {
  const block = normalBlock(entry);
  if (block === null) context.addIssue({ code: 'custom', message: HOST_TO_BLOCK.error });
  return block ?? '';
});
const localPlace = z
  .string(expected('a host and a port'))
  .refine(
    (entry) => normalGrant(entry) !== null,
    expected(
      'a host and a port such as "localhost:11434", and no address but one of this machine or its private network',
    ),
  );
const ACTION = expected(
  'a host call that the gate decides, such as "write_file"; what the kernel does itself, such as "capsule.start", cannot be denied here',
);
/** Without the prefix of calls, as the gate compares it. */
const actionName = z
  .string(ACTION)
  .transform((name) => name.replace(/^astrid_/, ''))
  .refine((name) => GATED.has(name), ACTION);
const section = <T extends z.ZodRawShape>(shape: T) =>
  z.strictObject(shape, expected('a section')).prefault({} as never);

const schema = section({
  approval: section({ mode: oneOf(APPROVAL_MODES).default('guided') }),
  policy: section({
    deny_paths: list(pathPattern, 'path patterns'),
    deny_hosts: list(blockedHost, 'hosts'),
    deny_capsules: list(capsuleName, 'capsule names'),
    deny_actions: list(actionName, 'actions'),
    argument_bytes_max: z
      .int(expected('a whole number of bytes'))
      .min(0, expected('0 or more bytes'))
      .max(LIMITS.workerFrameBytesMax, expected(`at most ${LIMITS.workerFrameBytesMax} bytes`))
      .default(LIMITS.workerFrameBytesMax),
  }),
  tiers: section({ accept_weaker: list(capsuleName, 'capsule names') }),
  process: section({ network: list(capsuleName, 'capsule names') }),
  capsules: section({ disabled: list(capsuleName, 'capsule names') }),
  net: section({ local: list(localPlace, 'local places') }),
  log: section({ level: oneOf(LOG_LEVELS).default('info') }),
  secrets: section({ store: oneOf(['file', 'keyring']).default('file') }),
  tokens: section({ required: z.boolean(expected('true or false')).default(false) }),
  // Known as a name only: gate/budget.ts refuses to start with one.
  budget: z.unknown().optional(),
});

/** Reads `etc/config.toml`. A missing file means the defaults. Throws Fault bad_config with key, line and what was expected. */
export function loadConfig(path: string): Config {
  const text = readText(path);
  return parseConfig(text ?? '');
}

export function parseConfig(text: string): Config {
  let tree: unknown;
  try {
    tree = parse(text);
  } catch (cause) {
    if (!(cause instanceof TomlError)) throw cause;
    const reason = cause.message.split('\n')[0];
    throw new Fault('bad_config', `config.toml line ${cause.line}: ${reason}`, { cause });
  }
  const parsed = schema.safeParse(tree);
  if (!parsed.success) throw faultOf(parsed.error.issues[0]!, text);
  const { approval, policy, tiers, process, capsules, net, log, secrets, tokens, budget } = parsed.data;
  return deepFreeze({
    approval,
    policy: {
      denyPaths: policy.deny_paths,
      denyHosts: policy.deny_hosts,
      denyCapsules: policy.deny_capsules,
      denyActions: policy.deny_actions,
      argumentBytesMax: policy.argument_bytes_max,
    },
    tiers: { acceptWeaker: tiers.accept_weaker },
    process,
    capsules,
    net,
    log,
    secrets,
    tokens,
    budget: { configured: budget !== undefined },
  });
}

/** The text, or null when there is no file. One open, and what was opened is what is checked and read. */
function readText(path: string): string | null {
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw new Fault('bad_config', 'config.toml cannot be read', { cause });
  }
  try {
    const stat = fstatSync(fd);
    if (!stat.isFile()) throw new Fault('bad_config', 'config.toml is not a file');
    if ((stat.mode & 0o022) !== 0) {
      throw new Fault('bad_config', 'config.toml can be changed by other users, expected mode 600 or 644');
    }
    if (stat.size > CONFIG_BYTES_MAX)
      throw new Fault('bad_config', `config.toml is larger than ${CONFIG_BYTES_MAX} bytes`);
    return decodeUtf8(readAll(fd));
  } finally {
    closeSync(fd);
  }
}

function readAll(fd: number): Buffer {
  const bytes = Buffer.alloc(CONFIG_BYTES_MAX);
  let length = 0;
  for (let got = -1; got !== 0 && length < bytes.length; length += got)
    got = readSync(fd, bytes, length, bytes.length - length, null);
  return bytes.subarray(0, length);
}

function decodeUtf8(bytes: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new Fault('bad_config', 'config.toml is not UTF-8', { cause });
  }
}

function faultOf(issue: z.core.$ZodIssue, text: string): Fault {
  const unknown = issue.code === 'unrecognized_keys' ? (issue.keys[0] ?? '') : null;
  const path = [...issue.path, ...(unknown === null ? [] : [unknown])] as TomlPath;
  const field = formatTomlPath(path);
  const line = new TomlLines(text).lineOf(path);
  const where = line === 0 ? 'config.toml' : `config.toml line ${line}`;
  const what = unknown === null ? issue.message : explainUnknown(unknown, issue.path);
  return new Fault('bad_config', `${where}: ${field}: ${what}`, { field });
}

function explainUnknown(key: string, path: readonly PropertyKey[]): string {
  const known = knownKeys(path);
  const nearest = findNearestKey(key, known);
  return nearest === null
    ? `unknown key, expected one of ${known.join(', ')}`
    : `unknown key, did you mean ${nearest}?`;
}

function knownKeys(path: readonly PropertyKey[]): string[] {
  const defaults = schema.parse({}) as Record<string, object>;
  const [name] = path;
  if (name === undefined) return [...Object.keys(defaults), 'budget'];
  return Object.keys(defaults[String(name)] ?? {});
}

function isPathPattern(pattern: string): boolean {
  const scheme = /^([a-z]+):\/\//.exec(pattern);
  if (scheme === null ? !pattern.startsWith('*') : !SCHEMES.includes(scheme[1]!)) return false;
  const rest = scheme === null ? pattern : pattern.slice(scheme[0].length);
  return rest === '' || rest.split('/').every((segment) => segment !== '' && segment !== '.' && segment !== '..');
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const entry of Object.values(value)) deepFreeze(entry);
  }
  return value;
}
