import { Fault } from '../../abi/errno.js';
import { LIMITS } from '../../abi/limits.js';
import { type CallContext, decodeJson, encodeJson, type SyscallHandler } from './handler.js';

export interface ApprovalRequest {
  readonly action: string;
  readonly resource: string;
  readonly riskLevel: string;
}

/** Asks a person on behalf of a capsule (ABI reference 2.10). */
export interface AskService {
  /** Throws what `ask` would refuse at once; asks nobody. */
  admit(request: ApprovalRequest, context: CallContext): void;
  ask(request: ApprovalRequest, context: CallContext): Promise<{ approved: boolean; decision: string }>;
}

export function makePeopleHandlers(people: AskService) {
  const requestApproval: SyscallHandler<ApprovalRequest> = {
    decode: ([request]) => decodeApproval(decodeJson(request, 'request')),
    resource: ({ action, resource }) => `${action}: ${resource}`,
    admit: (request, context) => people.admit(request, context),
    run: async (request, context) => {
      const { approved, decision } = await people.ask(request, context);
      return encodeJson({ approved, decision });
    },
  };
  return { astrid_request_approval: requestApproval };
}

function decodeApproval(value: unknown): ApprovalRequest {
  const action = takeText(value, 'action');
  if (action.length > LIMITS.approvalActionCharsMax) {
    const most = LIMITS.approvalActionCharsMax;
    throw new Fault('too_large', `action is longer than ${most} characters`, { field: 'action' });
  }
  return {
    action,
    resource: takeText(value, 'resource').slice(0, LIMITS.approvalResourceCharsMax),
    riskLevel: takeText(value, 'risk_level').slice(0, LIMITS.approvalRiskCharsMax),
  };
}

/** Trimmed and without control characters, as in the original. */
function takeText(value: unknown, field: string): string {
  const entry: unknown = typeof value === 'object' && value !== null ? Reflect.get(value, field) : undefined;
  if (typeof entry !== 'string') throw new Fault('invalid_argument', `${field} is missing or not text`, { field });
  return entry.replace(/\p{Cc}/gu, '').trim();
}
