import type { GateLayer } from '../../abi/audit-event.js';
import type { ApprovalMode } from '../../abi/control.js';
import { asFault, Fault } from '../../abi/errno.js';
import { LIMITS } from '../../abi/limits.js';
import type { Config } from '../config.js';
import { makeApprovalLayer } from './approval.js';
import type { Approvals, Outcome } from './approvals.js';
import { makeBudgetLayer } from './budget.js';
import { manifestLayer } from './manifest-layer.js';
import { makePolicyLayer } from './policy.js';
import { makeTokenLayer } from './token.js';
import { type Action, allowed, type Context, type Decision, denied, type Layer, type Verdict } from './types.js';

export interface GateOptions {
  readonly layers: readonly Layer[];
  readonly approvals: Pick<Approvals, 'ask'>;
  /** The approval mode of a session; of actions without one, the operator's default. */
  readonly modeOf: (session: string | null) => ApprovalMode;
  /** Told about a layer that threw: the guest only learns that the gate could not decide. */
  readonly onInternal: (fault: Fault) => void;
}

/** The layers in their order (design section 5). Throws `bad_config` for a layer that is asked for and not served yet. */
export function makeLayers(config: Config, approvals: Approvals): readonly Layer[] {
  return [
    manifestLayer,
    makePolicyLayer(config.policy),
    makeTokenLayer(config.tokens),
    makeBudgetLayer(config.budget),
    makeApprovalLayer(approvals),
  ];
}

/** One context per mode: the path of a read allocates nothing. */
const CONTEXTS: Readonly<Record<ApprovalMode, Context>> = {
  safe: { mode: 'safe' },
  guided: { mode: 'guided' },
  autonomous: { mode: 'autonomous' },
  yolo: { mode: 'yolo' },
};

const SHA256_HEX = /^[0-9a-f]{64}$/;

/** What each end of a question means for the action. */
const OUTCOMES: Readonly<Record<Outcome['kind'], (outcome: Outcome) => Decision>> = {
  grant: ({ id, by }) => allowed('approval', `allowed once by ${by}, when it was asked before`, id),
  once: ({ id, by }) => allowed('approval', `allowed once by ${by}`, id),
  session: ({ id, by }) => allowed('approval', `allowed for this session by ${by}`, id),
  denied: ({ id, by }) =>
    denied('approval', new Fault('approval_denied', 'a person denied this'), id, `denied by ${by}`),
  queued: ({ id }) => {
    const message = 'nobody answered: the action is queued for approval, and the next try after an answer goes through';
    return denied('approval', new Fault('approval_queued', message), id);
  },
  cancelled: ({ id }) => denied('approval', new Fault('cancelled', 'the capsule is being stopped'), id),
};

/** What the layers say together: a decision, or that a person must be asked. */
type Judgement = Decision | Extract<Verdict, { kind: 'ask' }>;

/**
 * Layers one after the other; the first `deny` ends it, no `allow` overrides a later `deny`, and a layer that throws or
 * an action that no layer vouches for is denied. The audit, the fifth layer, is the caller's last step before the effect.
 */
export class Gate {
  readonly #options: GateOptions;

  constructor(options: GateOptions) {
    this.#options = options;
  }

  /** The decision, when nobody has to be waited for; null when a person must be asked: then `decide` does the waiting. */
  decideSync(action: Action): Decision | null {
    const judgement = this.#judge(action);
    return 'verdict' in judgement ? judgement : null;
  }

  /** Never rejects: whatever goes wrong is a decision to deny. */
  async decide(action: Action): Promise<Decision> {
    const judgement = this.#judge(action);
    if ('verdict' in judgement) return judgement;
    try {
      const outcome = await this.#ask(action, judgement);
      const decision = OUTCOMES[outcome.kind](outcome);
      // Minutes may have passed: what the other layers say counts as of now.
      return decision.verdict === 'deny' ? decision : (this.#findDenial(action) ?? decision);
    } catch (thrown) {
      return this.#deny('approval', thrown);
    }
  }

  #judge(action: Action): Judgement {
    let decision: Decision | null = null;
    let question: Extract<Verdict, { kind: 'ask' }> | null = null;
    let at: GateLayer = 'system';
    try {
      const context = CONTEXTS[this.#options.modeOf(action.session)];
      for (const layer of this.#options.layers) {
        at = layer.name;
        const verdict = layer.judge(action, context);
        if (verdict.kind === 'deny') return verdict.decision;
        if (verdict.kind === 'allow') decision = verdict.decision;
        else if (verdict.kind === 'ask') question = verdict;
        else if (verdict.kind !== 'pass') throw new Error('a layer gave no verdict');
      }
    } catch (thrown) {
      return this.#deny(at, thrown);
    }
    return question ?? decision ?? this.#deny('system', new Error('no layer vouched for the action'));
  }

  #ask(action: Action, { onceOnly, why }: Extract<Verdict, { kind: 'ask' }>): Promise<Outcome> {
    const { session, scope, principal, capsule, install, name, resource, argsHash, risk, cancel } = action;
    // An answer is bound to the arguments: without their hash it would be good for any.
    if (!SHA256_HEX.test(argsHash)) throw new Error('an action that asks has no hash of its arguments');
    const question = { origin: 'kernel', session, scope, principal, capsule, install, action: name } as const;
    const whole = { ...question, resource, argsHash, risk, why, onceOnly, detail: () => action.detail() };
    return this.#options.approvals.ask(whole, LIMITS.gateApprovalWaitMs, cancel);
  }

  #findDenial(action: Action): Decision | null {
    const judgement = this.#judge(action);
    return 'verdict' in judgement && judgement.verdict === 'deny' ? judgement : null;
  }

  #deny(layer: GateLayer, thrown: unknown): Decision {
    const fault = asFault(thrown);
    if (fault.code !== 'internal') return denied(layer, fault, null);
    this.#options.onInternal(fault);
    const message = 'the gate could not decide, so the action is denied';
    return denied(layer, new Fault('internal', message), null, `${message}: ${fault.message}`);
  }
}
