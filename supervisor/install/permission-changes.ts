import type { CapsuleFacts, Danger, PermissionChange } from '../../abi/capsule-control.js';

/** One thing a capsule may do, as a line that can be compared. */
interface Permission {
  readonly what: string;
  readonly entry: string;
  readonly danger: Danger;
}

/**
 * What an upgrade gains and loses. Lines are compared as written: a pattern that another one already covers still
 * counts as gained, since deciding that patterns cover each other is where such comparisons go wrong.
 */
export function comparePermissions(before: CapsuleFacts, after: CapsuleFacts): PermissionChange[] {
  const [old, now] = [listPermissions(before), listPermissions(after)];
  const gained = [...now].filter(([key]) => !old.has(key)).map(([, row]) => ({ change: 'added' as const, ...row }));
  const lost = [...old].filter(([key]) => !now.has(key)).map(([, row]) => ({ change: 'removed' as const, ...row }));
  return [...gained, ...compareNumbers(before, after), ...lost];
}

function listPermissions(facts: CapsuleFacts): Map<string, Permission> {
  const rows: Permission[] = [
    ...facts.capabilities.flatMap(({ name, danger, entries }) =>
      entries.length === 0
        ? [{ what: name, entry: '', danger }]
        : entries.map((entry) => ({ what: name, entry, danger })),
    ),
    ...facts.publish.map((entry) => ({ what: 'publish', entry, danger: 'medium' as const })),
    ...facts.subscribe.map((entry) => ({ what: 'subscribe', entry, danger: 'medium' as const })),
    ...facts.interceptors.map(({ event, action, priority, fail }) => ({
      what: 'interceptor',
      entry: `${event} -> ${action}, priority ${priority}, fail ${fail}`,
      danger: 'medium' as const,
    })),
    // Served by exports, both are topics that are heard and answered although no list of topics names them.
    ...facts.tools.map(({ name }) => ({ what: 'answers tool', entry: name, danger: 'medium' as const })),
    ...facts.commands.map(({ name }) => ({ what: 'answers command', entry: `/${name}`, danger: 'medium' as const })),
    ...facts.uplinks.map(({ name, platform, profile }) => ({
      what: 'uplink',
      entry: `${name} ${platform} ${profile}`,
      danger: 'medium' as const,
    })),
    ...facts.env.map(({ name, type }) => ({
      what: 'asks for',
      entry: `${name} (${type})`,
      danger: type === 'secret' ? ('high' as const) : ('low' as const),
    })),
  ];
  if (facts.tier.tier === 'process') rows.push({ what: 'tier', entry: 'process', danger: 'high' });
  return new Map(rows.map((row) => [JSON.stringify([row.what, row.entry]), row]));
}

/** More memory or time is a gain, less is a loss. */
function compareNumbers(before: CapsuleFacts, after: CapsuleFacts): PermissionChange[] {
  const rows = [
    { what: 'memory pages', old: before.limits.memoryPages, now: after.limits.memoryPages },
    { what: 'wall clock ms', old: before.limits.wallMs, now: after.limits.wallMs },
  ];
  return rows
    .filter(({ old, now }) => old !== now)
    .map(({ what, old, now }) => ({
      change: now > old ? ('added' as const) : ('removed' as const),
      what,
      entry: `${old} -> ${now}`,
      danger: 'low' as const,
    }));
}
