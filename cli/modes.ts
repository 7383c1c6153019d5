import type { ApprovalMode } from '../abi/control.js';
import { Fault } from '../abi/errno.js';

/** Each approval mode with the line that explains it. A mode missing here does not compile. */
export const MODE_MEANINGS: Record<ApprovalMode, string> = {
  safe: 'ask before every sensitive action',
  guided: 'ask before changes, allow reads',
  autonomous: 'allow inside the workspace, ask outside',
  yolo: 'never ask; policy and manifest still apply',
};

function isMode(text: string): text is ApprovalMode {
  return Object.hasOwn(MODE_MEANINGS, text);
}

/** The mode that a command line or a slash command names. Fault `invalid_argument` that lists the modes. */
export function readMode(text: string | undefined): ApprovalMode | undefined {
  if (text === undefined) return undefined;
  if (isMode(text)) return text;
  const known = Object.keys(MODE_MEANINGS).join(', ');
  throw new Fault('invalid_argument', `mode must be one of ${known}, not ${JSON.stringify(text)}`, { field: 'mode' });
}
