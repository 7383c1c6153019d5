import { Fault } from '../../abi/errno.js';
import { decodeJson, encodeJson, type SyscallHandler } from './handler.js';

/** What other instances may (ABI reference 2.11). */
export interface SecurityService {
  /** Whether the instance with this UUID runs now and its manifest holds the capability. */
  holds(sourceId: string, capability: string): boolean;
}

interface CheckRequest {
  readonly sourceId: string;
  readonly capability: string;
}

export function makeSecurityHandlers(security: SecurityService) {
  const check: SyscallHandler<CheckRequest> = {
    decode: ([request]) => {
      const value = decodeJson(request, 'request');
      return { sourceId: takeText(value, 'source_uuid'), capability: takeText(value, 'capability') };
    },
    resource: ({ sourceId, capability }) => `capability:${capability} of ${sourceId}`,
    run: ({ sourceId, capability }) => encodeJson({ allowed: security.holds(sourceId.toLowerCase(), capability) }),
  };
  return { astrid_check_capsule_capability: check };
}

function takeText(value: unknown, field: string): string {
  const entry: unknown = typeof value === 'object' && value !== null ? Reflect.get(value, field) : undefined;
  if (typeof entry !== 'string') throw new Fault('invalid_argument', `${field} is missing or not text`, { field });
  return entry;
}
