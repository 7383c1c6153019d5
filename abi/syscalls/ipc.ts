import { LIMITS } from '../limits.js';
import { param, row } from './row.js';

const handle = param('handle', 'decimal', LIMITS.handleBytesMax);

export const IPC_CALLS = [
  row({
    number: 7,
    name: 'astrid_ipc_publish',
    params: [param('topic', 'text', LIMITS.topicBytesMax), param('payload', 'json', LIMITS.ipcPayloadBytesMax)],
    capability: 'ipc_publish',
    errors: ['capability_missing', 'invalid_argument', 'rate_limited', 'too_large'],
    since: '0.1.0',
  }),
  row({
    number: 8,
    name: 'astrid_ipc_subscribe',
    params: [param('pattern', 'text', LIMITS.topicBytesMax)],
    returns: 'decimal',
    capability: 'ipc_subscribe',
    errors: ['capability_missing', 'invalid_argument', 'quota_exceeded', 'too_large'],
    since: '0.1.0',
  }),
  row({
    number: 9,
    name: 'astrid_ipc_unsubscribe',
    params: [handle],
    errors: ['bad_handle', 'invalid_argument', 'too_large'],
    since: '0.1.0',
  }),
  row({
    number: 10,
    name: 'astrid_ipc_poll',
    params: [handle],
    returns: 'json',
    audit: 'none',
    errors: ['bad_handle', 'invalid_argument', 'too_large'],
    since: '0.1.0',
  }),
  row({
    number: 11,
    name: 'astrid_ipc_recv',
    params: [handle, param('timeout_ms', 'decimal', LIMITS.handleBytesMax)],
    returns: 'json',
    blocking: true,
    audit: 'none',
    errors: ['bad_handle', 'invalid_argument', 'too_large'],
    since: '0.1.0',
  }),
  row({
    number: 22,
    name: 'astrid_trigger_hook',
    params: [param('request', 'json', LIMITS.triggerBytesMax)],
    returns: 'json',
    blocking: true,
    errors: ['capability_missing', 'conflict', 'invalid_argument', 'too_large'],
    since: '0.1.0',
  }),
  row({
    number: 33,
    name: 'astrid_get_interceptor_handles',
    returns: 'json',
    path: 'worker',
    audit: 'none',
    errors: [],
    since: '0.1.0',
  }),
] as const;
