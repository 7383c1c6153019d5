import { call, decodeJson, encodeJson } from './call.js';

export interface ApprovalRequest {
  /** What is to be done, at most 256 characters after trimming (`too_large`), not empty (`invalid_argument`). */
  readonly action: string;
  /** What it is done to; cut at 1,024 characters. */
  readonly resource: string;
  readonly riskLevel: 'low' | 'medium' | 'high' | 'critical';
}

export interface ApprovalAnswer {
  readonly approved: boolean;
  /** The person's decision, or `allowance` when an earlier one covers this. */
  readonly decision: string;
}

/**
 * Asks the person of this session and waits, at most 60 s; nobody there and no answer mean not approved. For actions
 * the kernel does not know of: file writes and the like ask by themselves.
 * @throws SystemError `invalid_argument`, `too_large`, `rate_limited` (16 questions of this capsule wait already, or 120 were asked
 * within a minute), `no_space` and `io_error` (the question could not be stored).
 */
export function request(ask: ApprovalRequest): ApprovalAnswer {
  const body = { action: ask.action, resource: ask.resource, risk_level: ask.riskLevel };
  return decodeJson<ApprovalAnswer>(call('astrid_request_approval', encodeJson(body)));
}
