import { LIMITS } from '../limits.js';
import { param, row } from './row.js';

const path = param('path', 'text', LIMITS.pathBytesMax);

export const FS_CALLS = [
  row({
    number: 0,
    name: 'astrid_fs_exists',
    params: [path],
    returns: 'bool',
    hostResult: true,
    capability: 'fs_read',
    since: '0.1.0',
  }),
  row({ number: 1, name: 'astrid_fs_mkdir', params: [path], capability: 'fs_write', audit: 'before', since: '0.1.0' }),
  row({
    number: 2,
    name: 'astrid_fs_readdir',
    params: [path],
    returns: 'json',
    hostResult: true,
    capability: 'fs_read',
    since: '0.1.0',
  }),
  row({
    number: 3,
    name: 'astrid_fs_stat',
    params: [path],
    returns: 'json',
    hostResult: true,
    capability: 'fs_read',
    since: '0.1.0',
  }),
  row({ number: 4, name: 'astrid_fs_unlink', params: [path], capability: 'fs_write', audit: 'before', since: '0.1.0' }),
  row({
    number: 5,
    name: 'astrid_read_file',
    params: [path],
    returns: 'bytes',
    hostResult: true,
    capability: 'fs_read',
    since: '0.1.0',
  }),
  row({
    number: 6,
    name: 'astrid_write_file',
    params: [path, param('content', 'bytes', LIMITS.payloadBytesMax)],
    capability: 'fs_write',
    audit: 'before',
    since: '0.1.0',
  }),
] as const;
