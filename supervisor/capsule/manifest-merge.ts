import { CAPABILITIES, CAPABILITY_NAMES, type CapabilityName } from '../../abi/capabilities.js';
import { LIMITS } from '../../abi/limits.js';
import type { CapsuleManifest, EnvRow, InterceptorRow } from '../../abi/manifest.js';
import { HOST_VERSION } from './host-version.js';
import { readCron } from './manifest-cron.js';
import type { ManifestFindings } from './manifest-findings.js';
import { readExports, readImports } from './manifest-links.js';
import type { ManifestSections } from './manifest-schema.js';
import { satisfiesRange, toNpmRange } from './semver-rule.js';

/** Schemes of kernels up to 0.4; they match nothing since 0.5 (ABI reference 6.3). */
const OLD_SCHEMES: readonly (readonly [string, string])[] = [
  ['workspace://', 'cwd://'],
  ['global://', 'home://'],
];

/**
 * Joins both manifest styles into the one form the kernel reads (ABI reference 6.5) and adds what only shows when
 * sections are seen together. Problems go to `findings`; the result counts only when there are none.
 */
export function mergeManifest(
  sections: ManifestSections,
  findings: ManifestFindings,
): Omit<CapsuleManifest, 'warnings'> {
  const { package: head } = sections;
  const publish = joinLists(sections.capabilities?.ipc_publish, Object.keys(sections.publish ?? {}));
  const subscribe = joinLists(sections.capabilities?.ipc_subscribe, Object.keys(sections.subscribe ?? {}));
  const imports = readImports(sections.imports ?? {}, findings);
  checkHostVersion(sections, findings);
  checkTopics(sections, findings);
  if (sections.capabilities?.uplink === true && imports.length > 0) {
    findings.problem(['imports'], 'a capsule with capabilities.uplink = true loads first and must not import anything');
  }
  return {
    abi: head.abi ?? null,
    name: head.name,
    version: head.version,
    description: head.description ?? null,
    astridVersion: head['astrid-version'] ?? null,
    component: readComponent(sections, findings),
    imports,
    exports: readExports(sections.exports ?? {}, findings),
    publish,
    subscribe,
    interceptors: readInterceptors(sections),
    capabilities: readCapabilities(sections, { ipc_publish: publish, ipc_subscribe: subscribe }, findings),
    env: readEnv(sections),
    cron: readCron(sections, findings),
    commands: (sections.command ?? []).map(({ name, description, file }) => ({
      name,
      description: description ?? null,
      file: file ?? null,
    })),
    tools: readTools(sections, findings),
    uplinks: sections.uplink ?? [],
    topics: (sections.topic ?? []).map(({ name, direction, description, schema }) => ({
      name,
      direction,
      description: description ?? null,
      schema: schema ?? null,
    })),
    restart: head.restart ?? 'on-failure',
    limits: {
      memoryPages: sections.limits?.memory_pages ?? LIMITS.memoryPagesDefault,
      wallMs: sections.limits?.wall_ms ?? LIMITS.invocationWallMs,
    },
  };
}

function checkHostVersion(sections: ManifestSections, findings: ManifestFindings): void {
  const wanted = sections.package['astrid-version'];
  const range = wanted === undefined ? null : toNpmRange(wanted);
  if (range !== null && !satisfiesRange(HOST_VERSION, range)) {
    findings.problem(
      ['package', 'astrid-version'],
      `the capsule needs Astrid ${wanted}, this system is ${HOST_VERSION}`,
    );
  }
}

function checkTopics(sections: ManifestSections, findings: ManifestFindings): void {
  const seen = new Set<string>();
  sections.topic?.forEach(({ name, direction }, index) => {
    const key = `${direction} ${name}`;
    if (seen.has(key)) findings.problem(['topic', index, 'name'], `topic ${name} is declared twice for ${direction}`);
    seen.add(key);
  });
}

/** Only the first component runs (ABI reference 3.6), so only its capabilities count: the others get nothing. */
function readComponent(sections: ManifestSections, findings: ManifestFindings): CapsuleManifest['component'] {
  const [first, second] = sections.component ?? [];
  if (second !== undefined) findings.warn(['component', 1], 'only the first component runs; this one is ignored');
  if (first === undefined) return null;
  if (first.file !== undefined && first.entrypoint !== undefined) {
    findings.problem(['component', 0, 'entrypoint'], 'entrypoint is another name of file; give one of them');
  }
  const file = first.file ?? first.entrypoint;
  if (file === undefined) {
    findings.problem(['component', 0, 'file'], 'is missing, expected a path relative to the capsule');
    return null;
  }
  return { id: first.id ?? '', file };
}

/** `[[interceptor]]` first, then `[subscribe]` entries with a handler; the same event and action counts once. */
function readInterceptors(sections: ManifestSections): InterceptorRow[] {
  const handlers = Object.entries(sections.subscribe ?? {}).flatMap(([event, entry]) =>
    entry.handler === undefined ? [] : [{ event, action: entry.handler, priority: entry.priority, fail: entry.fail }],
  );
  const rows = new Map<string, InterceptorRow>();
  for (const row of [...(sections.interceptor ?? []), ...handlers]) {
    const key = JSON.stringify([row.event, row.action]);
    if (rows.has(key)) continue;
    rows.set(key, {
      event: row.event,
      action: row.action,
      priority: row.priority ?? LIMITS.interceptorPriorityDefault,
      fail: row.fail ?? 'open',
    });
  }
  return [...rows.values()];
}

/** A schema is a table or, as some tools of 0.4 wrote it, the JSON text of one. */
function readTools(sections: ManifestSections, findings: ManifestFindings): NonNullable<CapsuleManifest['tools']> {
  return (sections.tool ?? []).map(({ name, description, input_schema: schema }, index) => {
    const inputSchema = typeof schema === 'string' ? parseTable(schema) : schema;
    if (inputSchema === null) findings.problem(['tool', index, 'input_schema'], 'expected the JSON text of an object');
    return { name, description: description ?? '', inputSchema: inputSchema ?? { type: 'object', properties: {} } };
  });
}

function parseTable(text: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : null;
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}

function readCapabilities(
  sections: ManifestSections,
  acl: { readonly ipc_publish: readonly string[]; readonly ipc_subscribe: readonly string[] },
  findings: ManifestFindings,
): CapsuleManifest['capabilities'] {
  const root: Partial<Record<string, unknown>> = sections.capabilities ?? {};
  const component: Partial<Record<string, readonly string[] | undefined>> = sections.component?.[0]?.capabilities ?? {};
  const own: Partial<Record<CapabilityName, readonly string[]>> = acl;
  const merged = {} as Record<CapabilityName, readonly string[] | boolean>;
  for (const name of CAPABILITY_NAMES) {
    // Whoever declares a timer asks for timers.
    if (name === 'cron') merged[name] = root[name] === true || (sections.cron?.length ?? 0) > 0;
    else if (CAPABILITIES[name].kind === 'flag') merged[name] = root[name] === true;
    else merged[name] = own[name] ?? joinLists(root[name] as readonly string[] | undefined, component[name]);
  }
  for (const name of ['net_connect', 'allow_persistent']) {
    if (root[name] !== undefined) findings.warn(['capabilities', name], 'has no meaning for this kind of capsule');
  }
  warnOldSchemes(sections, findings);
  return merged;
}

function warnOldSchemes(sections: ManifestSections, findings: ManifestFindings): void {
  for (const name of ['fs_read', 'fs_write'] as const) {
    const places = [
      { path: ['capabilities', name], entries: sections.capabilities?.[name] },
      { path: ['component', 0, 'capabilities', name], entries: sections.component?.[0]?.capabilities?.[name] },
    ];
    for (const { path, entries } of places) {
      for (const [old, now] of OLD_SCHEMES) {
        if (entries?.some((entry) => entry.startsWith(old))) {
          findings.warn(path, `${old} matches nothing since 0.5; the scheme is now ${now}`);
        }
      }
    }
  }
}

function readEnv(sections: ManifestSections): EnvRow[] {
  return Object.entries(sections.env ?? {}).map(([name, entry]) => ({
    name,
    type: entry.type,
    request: entry.request ?? null,
    description: entry.description ?? null,
    default:
      entry.default === undefined || Array.isArray(entry.default) ? (entry.default ?? null) : String(entry.default),
    enumValues: entry.enum_values ?? [],
    placeholder: entry.placeholder ?? null,
  }));
}

function joinLists(...lists: readonly (readonly string[] | undefined)[]): string[] {
  return [...new Set(lists.flatMap((list) => list ?? []))];
}
