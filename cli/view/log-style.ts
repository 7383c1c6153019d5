import type { LogRow } from '../../abi/control.js';
import type { StyleName } from './terminal.js';

const STYLE: Record<LogRow['level'], StyleName> = {
  trace: 'dim',
  debug: 'dim',
  info: 'plain',
  warn: 'yellow',
  error: 'red',
};

/** How a line of this level looks; one of a level that is not known yet looks plain. */
export function styleOfLevel(level: LogRow['level']): StyleName {
  return STYLE[level] ?? 'plain';
}
