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
      param('name', 'text', LIMITS.cronNameBytesMax),
      param('schedule', 'text', LIMITS.cronScheduleBytesMax),
      param('payload', 'bytes', LIMITS.cronPayloadBytesMax),
    ],
    capability: 'cron',
    audit: 'before',
    errors: [
      'already_exists',
      'capability_missing',
      'invalid_argument',
      'io_error',
      'no_space',
      'not_supported',
      'quota_exceeded',
      'rate_limited',
      'too_large',
    ],
    since: '0.2.0',
  }),
  row({
    number: 50,
    name: 'astrid_cron_cancel',
    params: [param('name', 'text', LIMITS.cronNameBytesMax)],
    capability: 'cron',
    audit: 'before',
    errors: [
      'capability_missing',
      'invalid_argument',
      'io_error',
      'no_space',
      'not_supported',
      'rate_limited',
      'too_large',
    ],
    since: '0.2.0',
  }),
] as const;
