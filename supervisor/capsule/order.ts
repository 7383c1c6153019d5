import { Fault } from '../../abi/errno.js';
import type { CapsuleManifest, ImportRow } from '../../abi/manifest.js';
import { joinBounded } from '../../abi/wasm/printable.js';
import { findCycles } from './import-cycles.js';
import { satisfiesRange } from './semver-rule.js';

const CYCLE_SHOWN_MAX = 12;

export interface StartOrder {
  /** Names in the order to start them; who is not here has a problem. */
  readonly order: string[];
  /** One per capsule that cannot start; `field` is its name. */
  readonly problems: Fault[];
}

/** Names of the capsules that export what one import asks for. */
interface Need {
  readonly row: ImportRow;
  readonly providers: readonly string[];
}

interface Node {
  readonly manifest: CapsuleManifest;
  readonly needs: readonly Need[];
}

/**
 * Start order by imports and exports. An import is met by any capsule that exports the interface in a version that
 * satisfies the range; of several providers one has to start, the others are waited for where that is possible.
 * Uplinks come first, ties go by name, so the same set always starts in the same order.
 * Problems: `unmet_import`, `import_cycle`, `already_exists` (a second manifest of one name).
 */
export function orderCapsules(manifests: readonly CapsuleManifest[]): StartOrder {
  const problems: Fault[] = [];
  const nodes = new Map<string, Node>();
  for (const manifest of manifests) {
    if (nodes.has(manifest.name)) {
      problems.push(new Fault('already_exists', `two capsules are named ${manifest.name}`, { field: manifest.name }));
    } else nodes.set(manifest.name, { manifest, needs: listNeeds(manifest, manifests) });
  }
  const names = [...nodes.keys()].sort();
  const startable = findStartable(names, nodes);
  problems.push(...explainRest(names, nodes, startable));
  return { order: sortStartable(names, nodes, startable), problems };
}

function listNeeds(manifest: CapsuleManifest, all: readonly CapsuleManifest[]): Need[] {
  return manifest.imports.map((row) => ({
    row,
    providers: all.filter((other) => provides(other, row)).map((other) => other.name),
  }));
}

function provides(manifest: CapsuleManifest, row: ImportRow): boolean {
  return manifest.exports.some(
    (one) => one.namespace === row.namespace && one.name === row.name && satisfiesRange(one.version, row.range),
  );
}

/** Whether every required import has a provider that is already up, or is the capsule itself. */
function isMet(name: string, node: Node, up: ReadonlySet<string>): boolean {
  return node.needs.every(
    ({ row, providers }) => row.optional || providers.some((provider) => provider === name || up.has(provider)),
  );
}

/** The largest set that can start: grown until nothing is added, so a cycle never enters it. */
function findStartable(names: readonly string[], nodes: ReadonlyMap<string, Node>): Set<string> {
  const up = new Set<string>();
  let before = -1;
  while (up.size !== before) {
    before = up.size;
    for (const name of names) if (!up.has(name) && isMet(name, nodes.get(name)!, up)) up.add(name);
  }
  return up;
}

/** Prefers a capsule all of whose providers are up, optional ones too; else the first whose needs are met. */
function sortStartable(
  names: readonly string[],
  nodes: ReadonlyMap<string, Node>,
  startable: ReadonlySet<string>,
): string[] {
  const isUplink = (name: string) => nodes.get(name)?.manifest.capabilities.uplink === true;
  const up = new Set(names.filter((name) => startable.has(name) && isUplink(name)));
  let waiting = names.filter((name) => startable.has(name) && !up.has(name));
  while (waiting.length > 0) {
    const settled = (name: string) =>
      nodes
        .get(name)!
        .needs.every(({ providers }) => providers.every((one) => one === name || up.has(one) || !startable.has(one)));
    const next = waiting.find(settled) ?? waiting.find((name) => isMet(name, nodes.get(name)!, up));
    if (next === undefined) break;
    up.add(next);
    waiting = waiting.filter((name) => name !== next);
  }
  return [...up];
}

function explainRest(
  names: readonly string[],
  nodes: ReadonlyMap<string, Node>,
  startable: ReadonlySet<string>,
): Fault[] {
  const rest = names.filter((name) => !startable.has(name));
  const edges = new Map(rest.map((name) => [name, listBlockers(name, nodes.get(name)!, startable)]));
  const cycles = findCycles(edges);
  return rest.map((name) => {
    const unmet = nodes.get(name)!.needs.find(({ row, providers }) => !row.optional && providers.length === 0);
    const cycle = cycles.get(name);
    if (unmet === undefined && cycle !== undefined) {
      return new Fault('import_cycle', `${name} waits for itself: ${formatCycle(cycle)}`, { field: name });
    }
    return new Fault('unmet_import', explainUnmet(name, nodes, startable), { field: name });
  });
}

function formatCycle(cycle: readonly string[]): string {
  const shown = cycle.length <= CYCLE_SHOWN_MAX ? cycle : [...cycle.slice(0, CYCLE_SHOWN_MAX), '…'];
  return [...shown, cycle[0]].join(' -> ');
}

/** Providers of required imports that are not met; none of them can start. */
function listBlockers(name: string, node: Node, startable: ReadonlySet<string>): string[] {
  return node.needs
    .filter(({ row, providers }) => !row.optional && !providers.some((one) => one === name || startable.has(one)))
    .flatMap(({ providers }) => providers)
    .sort();
}

function explainUnmet(name: string, nodes: ReadonlyMap<string, Node>, startable: ReadonlySet<string>): string {
  const node = nodes.get(name)!;
  const need = node.needs.find(
    ({ row, providers }) => !row.optional && !providers.some((one) => one === name || startable.has(one)),
  );
  if (need === undefined) return `${name}: its imports cannot be met`;
  const { row, providers } = need;
  const wanted = `${name} imports ${row.namespace}:${row.name} ${row.range}`;
  if (providers.length > 0) return `${wanted}, which ${joinBounded(providers)} exports but cannot start`;
  const offers = [...nodes.values()].flatMap(({ manifest }) =>
    manifest.exports
      .filter((one) => one.namespace === row.namespace && one.name === row.name)
      .map((one) => `${manifest.name} exports ${one.version}`),
  );
  return `${wanted}, which no capsule exports${offers.length > 0 ? `; ${joinBounded(offers)}` : ''}`;
}
