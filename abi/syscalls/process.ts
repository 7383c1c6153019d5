import { LIMITS } from '../limits.js';
import { param, row } from './row.js';

const command = param('request', 'json', LIMITS.payloadBytesMax);
const id = param('request', 'json', LIMITS.processRequestBytesMax);

/** A command is found, allowed and started alike, whether it is waited for or not. */
const STARTING = [
  'capability_missing',
  'invalid_argument',
  'io_error',
  'not_found',
  'not_supported',
  'policy_denied',
  'quota_exceeded',
  'tier_unavailable',
  'too_large',
] as const;

export const PROCESS_CALLS = [
  row({
    number: 24,
    name: 'astrid_spawn_host',
    params: [command],
    returns: 'json',
    capability: 'host_process',
    blocking: true,
    audit: 'before',
    errors: STARTING,
    since: '0.2.0',
  }),
  row({
    number: 41,
    name: 'astrid_spawn_background_host',
    params: [command],
    returns: 'json',
    capability: 'host_process',
    audit: 'before',
    errors: STARTING,
    since: '0.2.0',
  }),
  row({
    number: 42,
    name: 'astrid_read_process_logs_host',
    params: [id],
    returns: 'json',
    capability: 'host_process',
    errors: ['bad_handle', 'capability_missing', 'invalid_argument', 'too_large'],
    since: '0.2.0',
  }),
  row({
    number: 43,
    name: 'astrid_kill_process_host',
    params: [id],
    returns: 'json',
    capability: 'host_process',
    audit: 'before',
    errors: ['bad_handle', 'capability_missing', 'invalid_argument', 'too_large'],
    since: '0.2.0',
  }),
] as const;
