import { CAPABILITIES, CAPABILITY_NAMES } from '../../abi/capabilities.js';
import type { CapabilityFact, CapsuleFacts } from '../../abi/capsule-control.js';
import type { EntryPoint } from '../../abi/entry-points.js';
import type { CapsuleManifest } from '../../abi/manifest.js';
import { explainOrigins } from './origins.js';
import { describeImports } from './providers.js';
import type { ExaminedCapsule } from './store.js';

const HOOKS: readonly (readonly [EntryPoint, CapsuleFacts['hooks'][number]])[] = [
  ['astrid_install', 'install'],
  ['astrid_upgrade', 'upgrade'],
  ['astrid_cron_trigger', 'cron'],
];

/** Everything about a capsule that was examined, for people. `installed` are the manifests it can find providers in. */
export function describeCapsule(
  examined: ExaminedCapsule,
  context: {
    readonly source: string;
    readonly tier: CapsuleFacts['tier'];
    readonly installed: readonly CapsuleManifest[];
  },
): CapsuleFacts {
  const { manifest, code } = examined;
  const entryPoints = code?.report.entryPoints ?? [];
  return {
    name: manifest.name,
    version: manifest.version,
    description: manifest.description,
    source: context.source,
    hash: code?.hash ?? null,
    manifestHash: examined.manifestHash,
    moduleBytes: code?.wasm.length ?? 0,
    generation: code?.generation ?? null,
    tier: context.tier,
    capabilities: listCapabilities(manifest),
    publish: manifest.publish,
    subscribe: manifest.subscribe,
    interceptors: manifest.interceptors,
    commands: manifest.commands.map(({ name, description }) => ({ name, description })),
    tools: (manifest.tools ?? []).map(({ name, description }) => ({ name, description })),
    uplinks: manifest.uplinks,
    env: manifest.env.map(({ name, type, description }) => ({ name, type, description })),
    hooks: HOOKS.filter(([entry]) => entryPoints.includes(entry)).map(([, hook]) => hook),
    hasRunLoop: entryPoints.includes('run'),
    hostCalls: code?.report.hostCalls ?? [],
    wasiCalls: code?.report.wasiCalls ?? [],
    limits: manifest.limits,
    restart: manifest.restart,
    imports: describeImports(manifest, context.installed),
    exports: manifest.exports,
    warnings: manifest.warnings,
    ...explainOrigins(examined.manifestText),
  };
}

/** What was asked for, the most harmful first. Topics have their own lists and are not repeated. */
function listCapabilities({ capabilities }: CapsuleManifest): CapabilityFact[] {
  const order = { high: 0, medium: 1, low: 2 } as const;
  return CAPABILITY_NAMES.filter((name) => name !== 'ipc_publish' && name !== 'ipc_subscribe')
    .flatMap((name): CapabilityFact[] => {
      const asked = capabilities[name];
      const { danger, may } = CAPABILITIES[name];
      if (typeof asked === 'boolean') return asked ? [{ name, danger, may, entries: [] }] : [];
      return asked.length > 0 ? [{ name, danger, may, entries: asked }] : [];
    })
    .sort((a, b) => order[a.danger] - order[b.danger]);
}
