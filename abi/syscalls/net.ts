import { LIMITS } from '../limits.js';
import { param, row } from './row.js';

const request = param('request', 'json', LIMITS.payloadBytesMax);
const stream = param('stream', 'decimal', LIMITS.streamHandleBytesMax);
const listener = param('listener', 'bytes', LIMITS.streamHandleBytesMax);

export const NET_CALLS = [
  row({
    number: 21,
    name: 'astrid_http_request',
    params: [request],
    returns: 'json',
    capability: 'net',
    blocking: true,
    audit: 'before',
    since: '0.2.0',
  }),
  row({
    number: 46,
    name: 'astrid_http_stream_start',
    params: [request],
    returns: 'json',
    capability: 'net',
    blocking: true,
    audit: 'before',
    since: '0.2.0',
  }),
  row({
    number: 47,
    name: 'astrid_http_stream_read',
    params: [stream],
    returns: 'bytes',
    blocking: true,
    since: '0.2.0',
  }),
  row({ number: 48, name: 'astrid_http_stream_close', params: [stream], since: '0.2.0' }),
  row({
    number: 25,
    name: 'astrid_net_bind_unix',
    params: [param('path', 'bytes', LIMITS.pathBytesMax)],
    returns: 'bytes',
    capability: 'net_bind',
    // Recorded, but nobody is asked: a run loop starts without a session, so nobody could answer. The installation was the consent.
    audit: 'with',
    since: '0.2.0',
  }),
  row({
    number: 26,
    name: 'astrid_net_accept',
    params: [listener],
    returns: 'decimal',
    capability: 'net_bind',
    blocking: true,
    since: '0.2.0',
  }),
  row({ number: 27, name: 'astrid_net_read', params: [stream], returns: 'bytes', blocking: true, since: '0.2.0' }),
  row({
    number: 28,
    name: 'astrid_net_write',
    params: [stream, param('body', 'bytes', LIMITS.payloadBytesMax)],
    blocking: true,
    since: '0.2.0',
  }),
  row({ number: 44, name: 'astrid_net_close_stream', params: [stream], since: '0.2.0' }),
  row({
    number: 45,
    name: 'astrid_net_poll_accept',
    params: [listener],
    returns: 'decimal',
    capability: 'net_bind',
    blocking: true,
    since: '0.2.0',
  }),
] as const;
