import { createHash } from 'node:crypto';
import type { ApprovalMode } from '../../abi/control.js';
import { Fault } from '../../abi/errno.js';
import { LIMITS } from '../../abi/limits.js';
import type { Question } from './approval-record.js';
import { cleanText } from './approval-text.js';
import type { Approvals, Outcome } from './approvals.js';

/** What a capsule sends, decoded from `action`, `resource` and `risk_level` (ABI reference 2.10). */
export interface CapsuleQuestion {
  readonly action: string;
  readonly resource: string;
  readonly riskLevel: string;
  readonly principal: string;
  readonly capsule: string;
  readonly install: string;
  readonly session: string | null;
  readonly scope?: string;
  readonly mode: ApprovalMode;
  readonly cancel?: AbortSignal;
}

/** The answer in the shape of the call. */
export interface CapsuleAnswer {
  readonly approved: boolean;
  readonly decision: 'approve' | 'approve_session' | 'deny' | 'allowance';
}

const ALLOWANCE: CapsuleAnswer = { approved: true, decision: 'allowance' };
const DENY: CapsuleAnswer = { approved: false, decision: 'deny' };

/** Nobody there and no time left are a `deny` here, as in the original; the question stays queued, the next try finds the answer. */
const ANSWERS: Readonly<Record<Outcome['kind'], CapsuleAnswer>> = {
  grant: { approved: true, decision: 'approve' },
  once: { approved: true, decision: 'approve' },
  session: { approved: true, decision: 'approve_session' },
  denied: DENY,
  queued: DENY,
  cancelled: DENY,
};

/**
 * Asks a person in a capsule's own words. Such an answer allows no host call: it is kept apart from the gate's own
 * questions by its origin, whatever name the capsule gives its action. Throws `invalid_argument`, `too_large`,
 * `rate_limited`, and what the disk says.
 */
export async function requestApproval(
  approvals: Pick<Approvals, 'ask' | 'findAllowance'>,
  request: CapsuleQuestion,
): Promise<CapsuleAnswer> {
  const question = makeQuestion(request);
  if (isAllowed(approvals, request, question)) return ALLOWANCE;
  return ANSWERS[(await approvals.ask(question, LIMITS.approvalRequestWaitMs, request.cancel)).kind];
}

/** Refuses what `requestApproval` would refuse at once. Asks nobody and counts nothing; throws as it does. */
export function admitRequest(
  approvals: Pick<Approvals, 'requireRoom' | 'findAllowance'>,
  request: CapsuleQuestion,
): void {
  const question = makeQuestion(request);
  if (!isAllowed(approvals, request, question)) approvals.requireRoom(question);
}

/** Without asking: the mode or an earlier answer says so. In mode safe an earlier answer counts for nothing. */
function isAllowed(
  approvals: Pick<Approvals, 'findAllowance'>,
  { mode }: CapsuleQuestion,
  question: Question,
): boolean {
  return mode === 'yolo' || (mode !== 'safe' && approvals.findAllowance(question) !== null);
}

function makeQuestion(request: CapsuleQuestion): Question {
  const action = cleanText(request.action, Number.POSITIVE_INFINITY).trim();
  if (action === '')
    throw new Fault('invalid_argument', 'action: expected a text that can be shown', { field: 'action' });
  if (action.length > LIMITS.approvalActionCharsMax) {
    const message = `action: ${action.length} characters, expected at most ${LIMITS.approvalActionCharsMax}`;
    throw new Fault('too_large', message, { field: 'action' });
  }
  const { session, scope, principal, capsule, install, resource, riskLevel, mode } = request;
  return {
    origin: 'capsule',
    session,
    scope,
    principal,
    capsule,
    install,
    action,
    resource: resource.trim(),
    // Over the text as it was sent: two texts that look alike once cleaned are two questions.
    argsHash: createHash('sha256')
      .update(JSON.stringify([request.action, resource, riskLevel]))
      .digest('hex'),
    risk: riskLevel.trim(),
    why: 'the capsule itself asks before it goes on',
    onceOnly: mode === 'safe',
    detail: async () => [],
  };
}
