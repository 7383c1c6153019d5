import { CAPABILITIES, type CapabilityName } from '../../abi/capabilities.js';
import { Fault } from '../../abi/errno.js';
import type { CapsuleManifest } from '../../abi/manifest.js';
import { type Action, allow, deny, type Layer, type Verdict } from './types.js';

/** Capabilities whose list names paths: without the caller's word that the list covers this path, it does not. */
const PATH_CAPABILITIES: ReadonlySet<CapabilityName> = new Set(['fs_read', 'fs_write']);

/** What a missing capability's line in Capsule.toml looks like. */
const EXAMPLES: Readonly<Record<CapabilityName, string>> = {
  fs_read: 'fs_read = ["cwd://"]',
  fs_write: 'fs_write = ["cwd://"]',
  ipc_publish: 'ipc_publish = ["topic.v1.name"]',
  ipc_subscribe: 'ipc_subscribe = ["topic.v1.name"]',
  kv: 'kv = ["*"]',
  net: 'net = ["host.example"]',
  net_bind: 'net_bind = ["unix:*"]',
  host_process: 'host_process = ["command"]',
  identity: 'identity = ["resolve"]',
  cron: 'cron = true',
  uplink: 'uplink = true',
  allow_prompt_injection: 'allow_prompt_injection = true',
};

const NOTHING_NEEDED = allow('manifest', 'needs no capability');
const DECLARED = new Map(
  Object.keys(CAPABILITIES).map((name) => [name, allow('manifest', `the manifest declares ${name}`)]),
);

/** The first layer: what the manifest does not declare does not exist for the capsule. */
export const manifestLayer: Layer = {
  name: 'manifest',
  judge(action: Action): Verdict {
    const { capability } = action.call;
    if (capability === null) return action.covered === false ? refuseUncovered(action, 'manifest') : NOTHING_NEEDED;
    if (!declares(action.manifest, capability)) return refuseMissing(capability);
    if (action.covered === false || (action.covered === null && PATH_CAPABILITIES.has(capability))) {
      return refuseUncovered(action, capability);
    }
    return DECLARED.get(capability)!;
  },
};

/** The two topic lists are merged from two places of a manifest, so they count wherever they stand; so does an uplink's section. */
function declares(manifest: CapsuleManifest, capability: CapabilityName): boolean {
  const value = manifest.capabilities[capability];
  if (value === true || (Array.isArray(value) && value.length > 0)) return true;
  if (capability === 'uplink') return manifest.uplinks.length > 0;
  if (capability === 'ipc_publish') return manifest.publish.length > 0;
  return capability === 'ipc_subscribe' && manifest.subscribe.length > 0;
}

function refuseMissing(capability: CapabilityName): Verdict {
  const message = `the capsule may not ${verbOf(capability)}: add \`${EXAMPLES[capability]}\` to [capabilities] in Capsule.toml`;
  return deny('manifest', new Fault('capability_missing', message, { field: capability }));
}

function refuseUncovered(action: Action, capability: string): Verdict {
  const resource = action.resource.slice(0, 256);
  const message = `${capability} in [capabilities] of Capsule.toml has no entry that covers ${resource}`;
  return deny('manifest', new Fault('capability_missing', message, { field: capability }));
}

function verbOf(capability: CapabilityName): string {
  return CAPABILITIES[capability].may.replace(/:$/, '').replace(/ (below|on|to|under|through it)$/, '');
}
