import { LIMITS } from '../../../abi/limits.js';
import {
  type CallProfile,
  casesOf,
  fault,
  fill,
  foreign,
  from,
  json,
  LANE,
  ONCE,
  okJson,
  okMatch,
  okText,
  requestParam,
  step,
  text,
  textParam,
} from '../case.js';

const missing = fault('capability_missing');
const badRequest = fault('invalid_argument');
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const NOBODY = '00000000-0000-4000-8000-000000000000';

/** The calls of this family that answer inside their JSON refuse there, too (ABI reference 2.7). */
const refusedInside = okJson('an error', (value) => typeof (value as { error?: unknown }).error === 'string');
const fieldOf = (name: string, expected: unknown) =>
  okJson(`${name} ${String(expected)}`, (value) => (value as Record<string, unknown>)[name] === expected);

const idTooLong = fault('too_large', /64/);
const user = { platform: 'test', platform_user_id: `u-${LANE}` };
/** Without a name that is longer once it is filled in. */
const plain = { platform: 'test', platform_user_id: 'plain' };

export const PEOPLE: readonly CallProfile[] = [
  {
    call: 'astrid_uplink_register',
    good: okMatch(UUID),
    params: [
      {
        valid: text(`front-${ONCE}`),
        empty: badRequest,
        notUtf8: okMatch(UUID),
        edge: { arg: fill(LIMITS.uplinkFieldBytesMax), want: okMatch(UUID) },
      },
      {
        valid: text(`  Telegram-${ONCE} `),
        empty: badRequest,
        notUtf8: okMatch(UUID),
        edge: { arg: fill(LIMITS.uplinkFieldBytesMax), want: okMatch(UUID) },
      },
      textParam(text('Chat'), badRequest, fill(LIMITS.uplinkFieldBytesMax), badRequest),
    ],
    cases: casesOf('astrid_uplink_register', [
      {
        name: 'the profile human counts as chat',
        args: [text('h'), text('human-only'), text('human')],
        want: okMatch(UUID),
      },
      { name: 'an unknown profile', args: [text('x'), text('x'), text('loud')], want: badRequest },
      {
        name: 'the same name and platform twice',
        steps: [step('astrid_uplink_register', text('twice'), text('same'), text('chat'))],
        args: [text('twice'), text(' SAME'), text('notify')],
        want: fault('already_exists'),
        fresh: true,
      },
      {
        name: 'a capsule without the capability',
        args: [text('x'), text('x'), text('chat')],
        role: 'bare',
        want: missing,
        kind: 'capability',
      },
      {
        name: 'the 33rd is refused',
        steps: Array.from({ length: 32 }, (_, n) =>
          step('astrid_uplink_register', text(`n${n}`), text('many'), text('chat')),
        ),
        args: [text('n32'), text('many'), text('chat')],
        want: fault('quota_exceeded'),
        kind: 'limit',
        fresh: true,
      },
    ]),
  },
  {
    call: 'astrid_uplink_send',
    role: 'peer',
    setup: [step('astrid_uplink_register', text(`send-${ONCE}`), text('send'), text('chat'))],
    good: okText('{"ok":true}'),
    params: [
      textParam(from(0), badRequest, fill(LIMITS.uplinkIdReadBytesMax), idTooLong),
      textParam(text('someone'), okText('{"ok":true}'), fill(LIMITS.uplinkFieldBytesMax), okText('{"ok":true}')),
      textParam(text('hello'), okText('{"ok":true}'), fill(LIMITS.uplinkContentBytesMax), okText('{"ok":true}')),
    ],
    cases: casesOf('astrid_uplink_send', [
      { name: 'an id of 64 bytes', args: [fill(64), text('s'), text('h')], want: badRequest, kind: 'limit' },
      { name: 'an id of 65 bytes', args: [fill(65), text('s'), text('h')], want: idTooLong, kind: 'limit' },
      {
        name: 'an uplink nobody registered',
        args: [text(NOBODY), text('someone'), text('hello')],
        want: fault('bad_handle'),
      },
      {
        name: "another capsule's uplink",
        before: [step('astrid_uplink_register', text(`theirs-${ONCE}`), text('send'), text('chat'))],
        args: [foreign(0), text('someone'), text('hello')],
        want: fault('bad_handle'),
        kind: 'hostile',
      },
      {
        name: 'a capsule without the capability',
        args: [text(NOBODY), text('s'), text('h')],
        role: 'bare',
        want: missing,
        kind: 'capability',
      },
    ]),
  },
  {
    call: 'astrid_identity_resolve',
    good: fieldOf('found', false),
    params: [requestParam(plain, fieldOf('found', false))],
    cases: casesOf('astrid_identity_resolve', [
      { name: 'no platform', args: [json({ platform_user_id: 'u' })], want: badRequest },
      { name: 'a blank platform', args: [json({ ...user, platform: ' ' })], want: refusedInside },
      {
        name: 'a user id of 512 bytes',
        args: [json({ ...user, platform_user_id: 'u'.repeat(LIMITS.identityFieldBytesMax) })],
        want: fieldOf('found', false),
        kind: 'limit',
      },
      {
        name: 'a user id of 513 bytes',
        args: [json({ ...user, platform_user_id: 'u'.repeat(LIMITS.identityFieldBytesMax + 1) })],
        want: refusedInside,
        kind: 'limit',
      },
      {
        name: 'during install',
        args: [json(user)],
        entry: 'astrid_install',
        want: badRequest,
      },
      {
        name: 'a slash in the user id',
        args: [json({ ...user, platform_user_id: 'a/b' })],
        want: refusedInside,
        kind: 'hostile',
      },
      {
        name: 'a NUL in the user id',
        args: [json({ ...user, platform_user_id: 'a\0b' })],
        want: refusedInside,
        kind: 'hostile',
      },
      {
        name: 'a capsule without the capability',
        args: [json(user)],
        role: 'bare',
        want: refusedInside,
        kind: 'capability',
      },
    ]),
  },
  {
    call: 'astrid_identity_create_user',
    good: okJson('ok with a user id', (value) => UUID.test((value as { user_id: string }).user_id)),
    params: [requestParam({}, fieldOf('ok', true))].map((param) => ({ ...param, edge: null })),
    cases: casesOf('astrid_identity_create_user', [
      {
        name: 'a slash in the display name',
        args: [json({ display_name: 'a/b' })],
        want: refusedInside,
        kind: 'hostile',
      },
      {
        name: 'a capsule without the capability',
        args: [json({})],
        role: 'bare',
        want: refusedInside,
        kind: 'capability',
      },
    ]),
  },
  {
    call: 'astrid_identity_link',
    good: refusedInside,
    params: [requestParam({ ...plain, astrid_user_id: NOBODY, method: 'test' }, refusedInside)],
    cases: casesOf('astrid_identity_link', [
      {
        name: 'a user id that is no UUID',
        args: [json({ ...user, astrid_user_id: 'me', method: 'test' })],
        want: refusedInside,
      },
      {
        name: 'a capsule without the capability',
        args: [json({ ...user, astrid_user_id: NOBODY, method: 't' })],
        role: 'bare',
        want: refusedInside,
        kind: 'capability',
      },
    ]),
  },
  {
    call: 'astrid_identity_unlink',
    good: fieldOf('ok', true),
    params: [requestParam(plain, fieldOf('ok', true))],
    cases: casesOf('astrid_identity_unlink', [
      { name: 'nothing was linked', args: [json(user)], want: fieldOf('removed', false) },
      {
        name: 'a capsule without the capability',
        args: [json(user)],
        role: 'bare',
        want: refusedInside,
        kind: 'capability',
      },
    ]),
  },
  {
    call: 'astrid_identity_list_links',
    good: okJson('ok or error', (value) => typeof (value as { ok: unknown }).ok === 'boolean'),
    params: [
      requestParam(
        { astrid_user_id: NOBODY },
        okJson('ok or error', () => true),
      ),
    ],
    cases: casesOf('astrid_identity_list_links', [
      { name: 'a user id that is no UUID', args: [json({ astrid_user_id: 'me' })], want: refusedInside },
      {
        name: 'a capsule without the capability',
        args: [json({ astrid_user_id: NOBODY })],
        role: 'bare',
        want: refusedInside,
        kind: 'capability',
      },
    ]),
  },
  {
    call: 'astrid_check_capsule_capability',
    good: okText('{"allowed":false}'),
    params: [
      requestParam(
        { source_uuid: NOBODY, capability: 'allow_prompt_injection' },
        okText('{"allowed":false}'),
        LIMITS.capabilityCheckBytesMax,
      ),
    ],
    cases: casesOf('astrid_check_capsule_capability', [
      {
        name: 'an unknown capability',
        args: [json({ source_uuid: NOBODY, capability: 'fly' })],
        want: okText('{"allowed":false}'),
      },
      {
        name: 'a source that is no UUID',
        args: [json({ source_uuid: 'me', capability: 'allow_prompt_injection' })],
        want: okText('{"allowed":false}'),
        kind: 'hostile',
      },
      {
        name: 'any capsule may ask',
        args: [json({ source_uuid: NOBODY, capability: 'fly' })],
        role: 'bare',
        want: okText('{"allowed":false}'),
        kind: 'capability',
      },
    ]),
  },
];
