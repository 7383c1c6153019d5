import { LIMITS } from '../../../abi/limits.js';
import {
  BARE_ID,
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
  PEER_ID,
  PERSON,
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
/** An account that no other script has, and the person to whom it is linked. */
const account = { platform: 'test', platform_user_id: `once-${ONCE}` };
const linking = { ...account, astrid_user_id: PERSON, method: 'test' };
const createPerson = step('astrid_identity_create_user', json({ display_name: 'Ada' }));
const linkPerson = step('astrid_identity_link', json(linking));
const linked = okJson('the link', (value) => {
  const { ok, link } = value as { readonly ok: boolean; readonly link?: { readonly method: string } };
  return ok && link?.method === 'test';
});
const found = okJson('found, with a user id', (value) => {
  const { found: isFound, user_id } = value as { readonly found: boolean; readonly user_id: string };
  return isFound && UUID.test(user_id);
});
const removed = okJson('ok and removed', (value) => {
  const { ok, removed: isRemoved } = value as { readonly ok: boolean; readonly removed: boolean };
  return ok && isRemoved;
});
const oneLink = okJson('ok and one link', (value) => {
  const { ok, links } = value as { readonly ok: boolean; readonly links: readonly unknown[] };
  return ok && links.length === 1;
});
const created = okJson('ok with a user id', (value) => {
  const { ok, user_id } = value as { readonly ok: boolean; readonly user_id: string };
  return ok && UUID.test(user_id);
});

/** Accounts of one person, each of its own name. */
const linkMany = (count: number) =>
  Array.from({ length: count }, (_, n) =>
    step('astrid_identity_link', json({ ...linking, platform_user_id: `once-${ONCE}-${n}` })),
  );

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
        name: 'the 32nd is the last',
        steps: Array.from({ length: 31 }, (_, n) =>
          step('astrid_uplink_register', text(`n${n}`), text('many'), text('chat')),
        ),
        args: [text('n31'), text('many'), text('chat')],
        want: okMatch(UUID),
        kind: 'limit',
        fresh: true,
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
    before: [createPerson],
    setup: [linkPerson],
    good: found,
    params: [requestParam(account, found)],
    cases: casesOf('astrid_identity_resolve', [
      { name: 'an account of nobody', args: [json(user)], want: fieldOf('found', false) },
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
    good: created,
    params: [requestParam({ display_name: 'Ada' }, created)],
    cases: casesOf('astrid_identity_create_user', [
      { name: 'without a name', args: [json({})], want: created },
      {
        name: 'a display name of 256 characters',
        args: [json({ display_name: 'n'.repeat(256) })],
        want: created,
        kind: 'limit',
      },
      {
        name: 'a display name of 257 characters',
        args: [json({ display_name: 'n'.repeat(257) })],
        want: refusedInside,
        kind: 'limit',
      },
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
    before: [createPerson],
    good: linked,
    params: [requestParam(linking, linked)],
    cases: casesOf('astrid_identity_link', [
      { name: 'a person who is not there', args: [json({ ...linking, astrid_user_id: NOBODY })], want: refusedInside },
      {
        name: 'a method of 512 bytes',
        before: [createPerson],
        args: [json({ ...linking, method: 'm'.repeat(LIMITS.identityFieldBytesMax) })],
        want: fieldOf('ok', true),
        kind: 'limit',
      },
      {
        name: 'a method of 513 bytes',
        before: [createPerson],
        args: [json({ ...linking, method: 'm'.repeat(LIMITS.identityFieldBytesMax + 1) })],
        want: refusedInside,
        kind: 'limit',
      },
      {
        name: 'the 64th account of a person is the last',
        before: [createPerson],
        steps: linkMany(LIMITS.identityLinksPerUserMax - 1),
        args: [json(linking)],
        want: linked,
        kind: 'limit',
      },
      {
        name: 'the 65th account of a person',
        before: [createPerson],
        steps: linkMany(LIMITS.identityLinksPerUserMax),
        args: [json(linking)],
        want: refusedInside,
        kind: 'limit',
      },
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
    before: [createPerson],
    setup: [linkPerson],
    good: removed,
    params: [requestParam(account, removed)],
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
    before: [createPerson],
    setup: [linkPerson],
    good: oneLink,
    params: [requestParam({ astrid_user_id: PERSON }, oneLink)],
    cases: casesOf('astrid_identity_list_links', [
      { name: 'a person who is not there', args: [json({ astrid_user_id: NOBODY })], want: refusedInside },
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
    good: okText('{"allowed":true}'),
    params: [
      requestParam(
        { source_uuid: PEER_ID, capability: 'allow_prompt_injection' },
        okText('{"allowed":true}'),
        LIMITS.capabilityCheckBytesMax,
      ),
    ],
    cases: casesOf('astrid_check_capsule_capability', [
      {
        name: 'a capsule that does not hold it',
        args: [json({ source_uuid: BARE_ID, capability: 'allow_prompt_injection' })],
        want: okText('{"allowed":false}'),
      },
      {
        name: 'nobody who runs',
        args: [json({ source_uuid: NOBODY, capability: 'allow_prompt_injection' })],
        want: okText('{"allowed":false}'),
      },
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
