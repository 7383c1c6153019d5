import { LIMITS } from '../limits.js';
import { param, row } from './row.js';

/**
 * The two calls that the original declared, never implemented and later removed (ABI reference 2.12). They are served: overnight
 * work needs timers. Numbered behind the original's registry.
 */
export const CRON_CALLS = [
  row({
    number: 49,
    name: 'astrid_cron_schedule',
    params: [
      param('name', 'text', LIMITS.keyBytesMax),
      param('schedule', 'text', LIMITS.keyBytesMax),
      param('payload', 'json', LIMITS.triggerBytesMax),
    ],
    capability: 'cron',
    audit: 'before',
  }),
  row({
    number: 50,
    name: 'astrid_cron_cancel',
    params: [param('name', 'text', LIMITS.keyBytesMax)],
    capability: 'cron',
    audit: 'before',
  }),
] as const;
