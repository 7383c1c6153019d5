import type { CAPSULE_METHODS } from '../../abi/capsule-control.js';
import type { ControlHandlers } from './handlers.js';
import type { KernelFace } from './kernel-face.js';

/** The methods that install, show and remove capsules. */
export function makeCapsuleHandlers({ capsules }: KernelFace): Pick<ControlHandlers, keyof typeof CAPSULE_METHODS> {
  return {
    'capsule.plan': (offer) => capsules.plan(offer),
    'capsule.install': (offer, { client }) => capsules.install(offer, client),
    'capsule.swap': (offer, { client }) => capsules.swap(offer, client),
    'capsule.remove': ({ name, purge }, { client }) => capsules.remove(name, purge, client),
    'capsule.expect': async ({ name }) => capsules.expect(name),
    'capsule.list': () => capsules.list(),
    'capsule.tree': () => capsules.tree(),
    'capsule.verify': ({ name }) => capsules.verify(name),
    'capsule.gc': ({ dryRun }, { client }) => capsules.collectGarbage(dryRun, client),
    'capsule.inspect': ({ name }) => capsules.inspect(name),
  };
}
