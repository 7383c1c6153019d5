import type { ApprovalMode } from '../abi/control.js';
import type { Approvals } from './gate/approvals.js';
import { admitRequest, type CapsuleQuestion, requestApproval } from './gate/request-approval.js';
import type { Sessions } from './sessions.js';
import type { CallContext } from './syscalls/handler.js';
import type { ApprovalRequest, AskService } from './syscalls/people.js';

/** Lets a capsule ask a person in its own words, with the session's mode and while its clock stands still. */
export class KernelAsk implements AskService {
  readonly #approvals: Approvals;
  readonly #sessions: Sessions;
  readonly #defaultMode: ApprovalMode;

  constructor(approvals: Approvals, sessions: Sessions, defaultMode: ApprovalMode) {
    this.#approvals = approvals;
    this.#sessions = sessions;
    this.#defaultMode = defaultMode;
  }

  async ask(request: ApprovalRequest, context: CallContext): Promise<{ approved: boolean; decision: string }> {
    context.setWaiting('answer to request_approval');
    context.pauseClock();
    try {
      return await requestApproval(this.#approvals, this.#questionOf(request, context));
    } finally {
      context.resumeClock();
      context.setWaiting('');
    }
  }

  admit(request: ApprovalRequest, context: CallContext): void {
    admitRequest(this.#approvals, this.#questionOf(request, context));
  }

  #questionOf(request: ApprovalRequest, { actor, capsule, install, cancel }: CallContext): CapsuleQuestion {
    const session = actor.session === null ? null : this.#sessions.find(actor.session);
    return {
      ...request,
      principal: actor.principal,
      capsule,
      install,
      session: actor.session,
      mode: session?.mode ?? this.#defaultMode,
      cancel,
      ...(session === null ? {} : { scope: session.workspace }),
    };
  }
}
