import { LIMITS } from '../limits.js';
import { param, row } from './row.js';

const request = param('request', 'json', LIMITS.payloadBytesMax);
const field = (name: string) => param(name, 'text', LIMITS.uplinkFieldBytesMax);

export const PEOPLE_CALLS = [
  row({
    number: 12,
    name: 'astrid_uplink_register',
    params: [field('name'), field('platform'), field('profile')],
    returns: 'text',
    capability: 'uplink',
    since: '0.2.0',
  }),
  row({
    number: 13,
    name: 'astrid_uplink_send',
    params: [
      param('uplink', 'text', LIMITS.uplinkIdReadBytesMax),
      field('user_id'),
      param('content', 'text', LIMITS.uplinkContentBytesMax),
    ],
    returns: 'json',
    capability: 'uplink',
    since: '0.2.0',
  }),
  row({
    number: 29,
    name: 'astrid_elicit',
    params: [request],
    returns: 'json',
    blocking: true,
    audit: 'before',
    since: '0.2.0',
  }),
  row({
    number: 30,
    name: 'astrid_has_secret',
    params: [param('request', 'json', LIMITS.keyBytesMax)],
    returns: 'json',
    since: '0.2.0',
  }),
  row({
    number: 34,
    name: 'astrid_request_approval',
    params: [request],
    returns: 'json',
    blocking: true,
    audit: 'before',
    since: '0.1.0',
  }),
  row({
    number: 35,
    name: 'astrid_identity_resolve',
    params: [request],
    returns: 'json',
    capability: 'identity',
    since: '0.2.0',
  }),
  row({
    number: 36,
    name: 'astrid_identity_link',
    params: [request],
    returns: 'json',
    capability: 'identity',
    audit: 'before',
    since: '0.2.0',
  }),
  row({
    number: 37,
    name: 'astrid_identity_unlink',
    params: [request],
    returns: 'json',
    capability: 'identity',
    audit: 'before',
    since: '0.2.0',
  }),
  row({
    number: 38,
    name: 'astrid_identity_create_user',
    params: [request],
    returns: 'json',
    capability: 'identity',
    audit: 'before',
    since: '0.2.0',
  }),
  row({
    number: 39,
    name: 'astrid_identity_list_links',
    params: [request],
    returns: 'json',
    capability: 'identity',
    since: '0.2.0',
  }),
  row({
    number: 40,
    name: 'astrid_check_capsule_capability',
    params: [param('request', 'json', LIMITS.capabilityCheckBytesMax)],
    returns: 'json',
    since: '0.2.0',
  }),
] as const;
