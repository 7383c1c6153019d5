import { LIMITS } from '../limits.js';
import { param, row } from './row.js';

const key = param('key', 'text', LIMITS.keyBytesMax);
const prefix = param('prefix', 'text', LIMITS.keyBytesMax);

export const KV_CALLS = [
  row({
    number: 14,
    name: 'astrid_kv_get',
    params: [key],
    returns: 'bytes',
    hostResult: true,
    errors: ['invalid_argument', 'too_large'],
    since: '0.1.0',
  }),
  row({
    number: 15,
    name: 'astrid_kv_set',
    params: [key, param('value', 'bytes', LIMITS.payloadBytesMax)],
    errors: ['invalid_argument', 'io_error', 'no_space', 'quota_exceeded', 'rate_limited', 'too_large'],
    since: '0.1.0',
  }),
  row({
    number: 16,
    name: 'astrid_kv_delete',
    params: [key],
    errors: ['invalid_argument', 'io_error', 'no_space', 'rate_limited', 'too_large'],
    since: '0.1.0',
  }),
  row({
    number: 17,
    name: 'astrid_kv_list_keys',
    params: [prefix],
    returns: 'json',
    hostResult: true,
    errors: ['invalid_argument', 'too_large'],
    since: '0.1.0',
  }),
  row({
    number: 18,
    name: 'astrid_kv_clear_prefix',
    params: [prefix],
    returns: 'json',
    hostResult: true,
    errors: ['invalid_argument', 'io_error', 'no_space', 'rate_limited', 'too_large'],
    since: '0.1.0',
  }),
] as const;
