import type { ControlMethod } from '../../abi/control.js';
import type { ControlHandlers } from './handlers.js';
import type { KernelFace } from './kernel-face.js';

/** The methods that install, show and remove capsules. */
export function makeCapsuleHandlers({
  capsules,
}: KernelFace): Pick<ControlHandlers, Extract<ControlMethod, `capsule.${string}`>> {
  return {
    'capsule.plan': (offer) => capsules.plan(offer),
    'capsule.install': (offer, { client }) => capsules.install(offer, client),
    'capsule.remove': ({ name }, { client }) => capsules.remove(name, client),
    'capsule.list': () => capsules.list(),
    'capsule.tree': () => capsules.tree(),
    'capsule.verify': ({ name }) => capsules.verify(name),
    'capsule.gc': ({ dryRun }, { client }) => capsules.collectGarbage(dryRun, client),
    'capsule.inspect': ({ name }) => capsules.inspect(name),
  };
}
