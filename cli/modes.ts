import type { ApprovalMode } from '../abi/control.js';
import { Fault } from '../abi/errno.js';

/** Each approval mode with the line that explains it. A mode missing here does not compile. */
export const MODE_MEANINGS: Record<ApprovalMode, string> = {
  safe: 'ask each time, before reads of files too',
  guided: 'read files freely, ask before every change',
  autonomous: 'change files of the workspace freely too (rollback undoes it), ask before the rest',
  yolo: 'never ask; manifest and policy still apply',
};

function isMode(text: string): text is ApprovalMode {
  return Object.hasOwn(MODE_MEANINGS, text);
}

/** The mode that a command line or a slash command names, `label` being how it is named there. Fault `invalid_argument` that lists the modes. */
export function readMode(text: string | undefined, label = '--mode'): ApprovalMode | undefined {
  if (text === undefined) return undefined;
  if (isMode(text)) return text;
  const known = Object.keys(MODE_MEANINGS).join(', ');
  throw new Fault('invalid_argument', `${label} must be one of ${known}, not ${JSON.stringify(text)}`, {
    field: 'mode',
  });
}
