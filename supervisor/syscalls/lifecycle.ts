import { Fault } from '../../abi/errno.js';
import type { ElicitRequest } from '../lifecycle/elicit-request.js';
import { readElicitRequest } from '../lifecycle/elicit-request.js';
import { type CallContext, decodeJson, encodeJson, type SyscallHandler } from './handler.js';

/** Questions to a person and secrets, for the two calls that may not see a secret's value. */
export interface LifecycleService {
  /** Throws what `elicit` would refuse at once; asks nobody. */
  admit(request: ElicitRequest, context: CallContext): void;
  /** Resolves with the JSON that the guest gets (ABI reference 2.8). */
  elicit(request: ElicitRequest, context: CallContext): Promise<unknown>;
  hasSecret(principal: string, capsule: string, key: string): Promise<boolean>;
}

export function makeLifecycleHandlers(lifecycle: LifecycleService) {
  const elicit: SyscallHandler<ElicitRequest> = {
    decode: ([request]) => readElicitRequest(decodeJson(request, 'request')),
    resource: ({ kind, key }) => `elicit:${kind}:${key.slice(0, 256)}`,
    admit: (request, context) => lifecycle.admit(request, context),
    run: async (request, context) => encodeJson(await lifecycle.elicit(request, context)),
  };
  const hasSecret: SyscallHandler<{ readonly key: string }> = {
    decode: ([request]) => {
      const value = decodeJson(request, 'request');
      const key: unknown = typeof value === 'object' && value !== null ? Reflect.get(value, 'key') : undefined;
      if (typeof key !== 'string') throw new Fault('invalid_argument', 'key is missing or not text', { field: 'key' });
      return { key };
    },
    resource: ({ key }) => `secret:${key.slice(0, 256)}`,
    run: async ({ key }, { actor, capsule }) =>
      encodeJson({ exists: await lifecycle.hasSecret(actor.principal, capsule, key) }),
  };
  return { astrid_elicit: elicit, astrid_has_secret: hasSecret };
}
