import { LIMITS } from '../limits.js';
import { param, row } from './row.js';

export const SYS_CALLS = [
  row({
    number: 19,
    name: 'astrid_get_config',
    params: [param('key', 'text', LIMITS.keyBytesMax)],
    returns: 'text',
    path: 'worker',
    audit: 'none',
    errors: ['too_large'],
    since: '0.1.0',
  }),
  row({
    number: 20,
    name: 'astrid_get_caller',
    returns: 'json',
    path: 'worker',
    audit: 'none',
    errors: [],
    since: '0.1.0',
  }),
  row({
    number: 23,
    name: 'astrid_log',
    params: [param('level', 'text', LIMITS.logLevelBytesMax), param('message', 'text', LIMITS.logMessageBytesMax)],
    path: 'one-way',
    audit: 'none',
    errors: ['too_large'],
    since: '0.1.0',
  }),
  row({ number: 31, name: 'astrid_signal_ready', path: 'one-way', audit: 'none', errors: [], since: '0.1.0' }),
  row({
    number: 32,
    name: 'astrid_clock_ms',
    returns: 'decimal',
    path: 'worker',
    audit: 'none',
    errors: [],
    since: '0.1.0',
  }),
] as const;
