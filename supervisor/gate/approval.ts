import type { ApprovalMode } from '../../abi/control.js';
import type { Approvals } from './approvals.js';
import { type Action, allow, type Context, type Layer, PASS, type Verdict } from './types.js';

/** Calls that do nothing but ask a person: asking whether they may ask would ask twice. */
const ASKING_CALLS: ReadonlySet<string> = new Set(['astrid_request_approval', 'astrid_elicit']);

const ask = (why: string, onceOnly = false) => Object.freeze({ kind: 'ask', onceOnly, why }) satisfies Verdict;
const ASK_SAFE = ask('mode safe asks before everything and remembers nothing', true);
const ASK_GUIDED = ask('mode guided asks before every change');
const ASK_AUTONOMOUS = ask('mode autonomous asks before what cannot be rolled back');
const CONTAINED = allow('approval', 'mode autonomous: a change that can be rolled back');
const YOLO = allow('approval', 'mode yolo: nothing asks');

/**
 * What each mode asks about (design section 5).
 *
 *   mode         reads below cwd://, home://   changes below cwd://, tmp://   other actions of audit class `before`
 *   safe         asks, once only               asks, once only                asks, once only
 *   guided       pass                          asks                           asks
 *   autonomous   pass                          pass                           asks
 *   yolo         pass                          pass                           pass
 */
const MODES: Readonly<Record<ApprovalMode, (action: Action) => Verdict>> = {
  safe: (action) => (isChange(action) || isRead(action) ? ASK_SAFE : PASS),
  guided: (action) => (isChange(action) ? ASK_GUIDED : PASS),
  autonomous: (action) => {
    if (!isChange(action)) return PASS;
    return isContained(action) ? CONTAINED : ASK_AUTONOMOUS;
  },
  yolo: (action) => (isChange(action) ? YOLO : PASS),
};

/** The fourth layer: whether a person must be asked, or has already said for this session. */
export function makeApprovalLayer(approvals: Pick<Approvals, 'findAllowance'>): Layer {
  return {
    name: 'approval',
    judge(action: Action, context: Context): Verdict {
      if (ASKING_CALLS.has(action.call.name)) return PASS;
      const verdict = MODES[context.mode](action);
      // In mode safe an earlier answer counts for nothing.
      if (verdict.kind !== 'ask' || verdict.onceOnly) return verdict;
      const { session, principal, capsule, install, name, resource } = action;
      const question = { origin: 'kernel', session, principal, capsule, install, action: name, resource } as const;
      const id = approvals.findAllowance(question);
      return id === null ? verdict : allow('approval', 'allowed for this session', id);
    },
  };
}

function isChange(action: Action): boolean {
  return action.call.audit === 'before';
}

function isRead(action: Action): boolean {
  const { call, resource } = action;
  return call.capability === 'fs_read' && (resource.startsWith('cwd://') || resource.startsWith('home://'));
}

/** Only files: the resource of other calls may be text that a capsule chose. */
function isContained(action: Action): boolean {
  const { call, resource } = action;
  return call.capability === 'fs_write' && (resource.startsWith('cwd://') || resource.startsWith('tmp://'));
}
